// The browser's half of helpers/widgets.py: rows of sliders, a picture, a map. Nothing here computes;
// a view shows its model's traits and writes the reader's moves back. Nothing is fetched from elsewhere.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const svg = (tag, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// Else JupyterLab takes arrow keys for the notebook. The mark has to be on what has the focus itself.
if (!document.lwOwnKeys) {
  document.lwOwnKeys = true;
  document.addEventListener("focusin", ({ target }) => {
    if (target.closest(".lw-shell")) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}

// Ids must differ between all widgets of a page, and each has its own copy of this file.
const newId = () => `lw-${Math.random().toString(36).slice(2)}`;

// One row: label, histogram with a native range input over it (arrow keys, page keys, touch), value.
function sliderRow(row, move) {
  const id = newId();
  const step = (1 - 1e-9) * (row.high - row.low) / 100; // a rounded step must not miss the end
  const input = make("input", { type: "range", id, min: row.low, max: row.high, step, "aria-label": row.spoken });
  const bars = row.heights.map((height, i) =>
    svg("rect", { x: i, y: 1 - height, width: 0.9, height }));
  const shape = svg("svg", {
    viewBox: `0 0 ${Math.max(row.heights.length, 1)} 1`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ...bars);
  const value = make("output", { for: id });
  const label = make("label", { for: id }, make("b", {}, row.name), " ", make("small", {}, row.note));
  input.addEventListener("input", () => move(Number(input.value)));
  const show = (number) => {
    if (Number(input.value) !== number) input.value = number;
    value.textContent = number.toFixed(2);
    input.setAttribute("aria-valuetext", number.toFixed(2));
  };
  return { element: make("div", { class: "lw-row" }, label, make("div", { class: "lw-track" }, shape, input), value), show };
}

function sliders({ model, el }) {
  el.classList.add("lw-sliders");
  let shows = [];
  const values = () => model.get("values").forEach((number, i) => shows[i]?.(number));
  const rows = () => {
    shows = [];
    const folded = [];
    el.replaceChildren();
    for (const row of model.get("rows")) {
      const made = sliderRow(row, (number) => {
        const moved = [...model.get("values")];
        moved[row.index] = number;
        shows[row.index](number);
        model.set("values", moved);
        model.save_changes();
      });
      shows[row.index] = made.show;
      if (row.folded) folded.push(made.element);
      else el.append(made.element);
    }
    if (folded.length) el.append(make("details", {}, make("summary", {}, model.get("folded")), ...folded));
    values();
  };
  model.on("change:values", values);
  model.on("change:rows", rows);
  rows();
}

function picture({ model, el }) {
  el.classList.add("lw-picture");
  const image = make("img", {});
  const caption = make("div", { class: "lw-caption", "aria-live": model.get("live") ? "polite" : "off" });
  let address = "";
  const show = () => {
    const bytes = model.get("png");
    if (!bytes || !bytes.byteLength) return;
    const next = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    image.src = next;
    URL.revokeObjectURL(address);
    address = next;
  };
  const describe = () => {
    image.alt = model.get("alt");
    caption.textContent = model.get("caption");
  };
  image.style.aspectRatio = model.get("columns");
  image.style.width = `${model.get("width")}px`;
  model.on("change:png", show);
  model.on("change:alt change:caption", describe);
  show();
  describe();
  el.append(image, caption);
  return () => URL.revokeObjectURL(address);
}

function pad({ model, el }) {
  el.classList.add("lw-pad");
  const bytes = model.get("png");
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const image = make("img", { alt: model.get("alt"), draggable: "false" });
  image.src = address;
  const dot = make("div", { class: "lw-dot" });
  const area = make("div", {
    class: "lw-area", tabindex: "0", role: "application", "aria-roledescription": "map",
    "aria-label": `${model.get("alt")} Arrow keys move the point; with Shift, further.`,
  }, image, dot);
  const [low, high] = [model.get("low"), model.get("high")];
  const clip = (number, axis) => Math.min(Math.max(number, low[axis]), high[axis]);
  const show = () => {
    const [right, up] = model.get("point").map((number, axis) => (clip(number, axis) - low[axis]) / (high[axis] - low[axis]));
    dot.style.left = `${100 * right}%`;
    dot.style.top = `${100 * (1 - up)}%`;
  };
  const move = (point) => {
    model.set("point", point.map(clip));
    model.save_changes();
    show();
  };
  const follow = (event) => {
    const box = area.getBoundingClientRect();
    const right = (event.clientX - box.left) / box.width;
    const up = 1 - (event.clientY - box.top) / box.height;
    move([low[0] + right * (high[0] - low[0]), low[1] + up * (high[1] - low[1])]);
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    follow(event);
  });
  area.addEventListener("pointermove", (event) => {
    if (area.hasPointerCapture(event.pointerId)) follow(event);
  });
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  area.addEventListener("keydown", (event) => {
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.1 : 0.02;
    move(model.get("point").map((number, axis) => number + way[axis] * step * (high[axis] - low[axis])));
  });
  const legend = make("div", { class: "lw-legend", "aria-hidden": "true" });
  for (const [name, colour] of model.get("legend")) {
    const mark = make("i");
    mark.style.background = colour;
    legend.append(make("span", {}, mark, name));
  }
  model.on("change:point", show);
  show();
  el.append(area, make("div", { class: "lw-caption" }, model.get("axes")), legend);
  return () => URL.revokeObjectURL(address);
}

const views = { sliders, picture, pad };

export default { render: (context) => views[context.model.get("view")](context) };
