// The browser's half of helpers/widgets.py: rows of sliders, a picture, a map. A view shows its model's traits and
// writes the reader's moves back; a picture that follows sliders is decoded here, by machinery/decoder.js, which stands
// before this file. Nothing is fetched from elsewhere.

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

// Marks a change as the reader's own move in this page, for those who follow it.
const READERS = { isReaders: true };

// JupyterLab's widgets know their kernel; one that was stopped is disposed of, and then there is none.
function isStopped({ widget_manager: manager }) {
  if (!("kernel" in manager)) return false;
  return !manager.kernel || manager.kernel.isDisposed || ["dead", "terminating"].includes(manager.kernel.status);
}

// A move, sent to Python where there is one.
function moved(model, trait, value) {
  model.set(trait, value, READERS);
  if (!isStopped(model)) model.save_changes();
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
        const values = [...model.get("values")];
        values[row.index] = number;
        shows[row.index](number);
        moved(model, "values", values);
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

// ------------------------------------------------------------------------------------------------
// Decoding in the page. Weights lie in a widget without a view; it is asked for them once a page, and what it sends is
// kept on that widget's own model, because each view has a copy of this file.

const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

async function open(network, { steps, names, edition }, buffers) {
  const arrays = buffers.map(bytesOf);
  const weights = Object.fromEntries(names.map((name, i) => [name, new Float32Array(arrays[i].buffer)]));
  try {
    network.lwNet = await latentNet.Net.load(steps, weights, arrays.at(-1));
    network.lwEdition = edition;
    network.lwWants(); // for weights that have changed meanwhile
  } catch (error) {
    network.lwProblem = `this page cannot run it (${error.message})`;
  }
  network.trigger("lw:open");
}

// Asks a widget for what it sends on request: weights again with each edition, anything else once.
function request(source, opened) {
  if (source.lwWants) return;
  const isOld = () => source.get("place") !== "kernel" && source.lwEdition !== source.get("edition");
  source.lwWants = () => isOld() && source.send({ wanted: true });
  source.on("msg:custom", (content, buffers) => opened(source, content, buffers));
  source.on("change:edition change:place", source.lwWants);
  source.lwWants();
}

function keep(pool, { edition }, [levels]) {
  Object.assign(pool, { lwLevels: bytesOf(levels), lwEdition: edition });
  pool.trigger("lw:open");
}

// Root mean squared pixel difference to the nearest of many garments, which are bytes.
function distance(image, levels) {
  let nearest = Infinity;
  for (let start = 0; start < levels.length; start += image.length) {
    let sum = 0;
    for (let i = 0; i < image.length && sum < nearest; i++) sum += (image[i] - levels[start + i] / 255) ** 2;
    nearest = Math.min(nearest, sum);
  }
  return Math.sqrt(nearest / image.length);
}

// The code that sliders stand for: their values, a point of a plane through codes, or a point of an arc (Shoemake, 1985).
function codeOf({ base, columns, arc }, values) {
  if (arc) {
    const [start, end] = arc;
    const [t, lengths] = [values[0], arc.map((z) => Math.hypot(...z))];
    const dot = start.reduce((sum, value, i) => sum + value * end[i], 0);
    const angle = Math.acos(Math.min(Math.max(dot / (lengths[0] * lengths[1]), -1), 1));
    if (Math.sin(angle) >= 1e-6) { // also where a code is 0 and has no direction
      const length = ((1 - t) * lengths[0] + t * lengths[1]) / Math.sin(angle);
      const [from, to] = [Math.sin((1 - t) * angle) / lengths[0], Math.sin(t * angle) / lengths[1]];
      return start.map((value, i) => length * (from * value + to * end[i]));
    }
    return start.map((value, i) => (1 - t) * value + t * end[i]);
  }
  return base ? base.map((start, i) => columns.reduce((sum, column, k) => sum + values[k] * column[i], start)) : values;
}

// What stands beneath a picture after the reader's own move; null leaves it to Python.
const CAPTIONS = {
  latent({ values, before, rows }) {
    const moved = rows.filter(({ index }) => values[index] !== before[index]);
    return moved.length === 1 ? `${moved[0].name} = ${values[moved[0].index].toFixed(2)} · ${moved[0].note}` : null;
  },
  point: ({ values, names }) => names.map((name, i) => `${name} = ${values[i].toFixed(2)}`).join(" · "),
  way: ({ values, kind }) => `${Math.round(100 * values[0])}% of the way, ${kind}`,
  distance: ({ image, label, levels }) => (levels ? `${label} · ${distance(image, levels).toFixed(3)}` : null),
};

const CANVAS = make("canvas");
function addressOf(image) {
  latentNet.paint(CANVAS, image);
  return CANVAS.toDataURL();
}

const valuesOf = (source) => source.get(source.get("view") === "pad" ? "point" : "values");

// A picture that follows sliders or a map. `shown` has its elements' setters: image, caption, python (what Python sent).
async function follow(model, where, shown, onEnd) {
  const widget = (id) => model.widget_manager.get_model(id);
  const network = await widget(model.get("network"));
  const sources = await Promise.all(model.get("follows").map(widget));
  const pool = model.get("pool") ? await widget(model.get("pool")) : null;
  let values = valuesOf(sources[0]);
  const hear = (source, names, listener) => {
    source.on(names, listener);
    onEnd(() => source.off(names, listener));
  };
  const isHere = () =>
    network.get("place") === "page" && network.lwEdition === network.get("edition") && Boolean(network.lwNet);

  const say = () => {
    const stopped = isStopped(model) || network.comm_live === false;
    const reason = network.get("reason") || network.lwProblem;
    const here = stopped ? "Decoded in this page. Python has stopped: sliders go on, buttons wait." : "Decoded in this page.";
    const there = stopped ? "Python has stopped; run the cell again." : `Decoded by Python${reason ? `: ${reason}` : ""}.`;
    where.textContent = isHere() ? here : there;
  };
  const renew = (before) => {
    say();
    if (!isHere()) return shown.python();
    const code = model.get("code");
    const image = network.lwNet.run(codeOf(code, values))[0];
    shown.image(addressOf(image));
    if (!before) return null;
    const said = CAPTIONS[code.caption]({ ...code, values, before, image, rows: sources[0].get("rows"), levels: pool?.lwLevels });
    return said === null ? null : shown.caption(said);
  };
  sources.forEach((source) => {
    const renewed = (_, __, options) => {
      const [before, now] = [values, valuesOf(source)];
      if (now.length === before.length && now.every((value, i) => value === before[i])) return;
      values = now;
      // Two sources show one point also while Python cannot tell one of the other.
      for (const other of sources) if (other !== source) other.set(other.get("view") === "pad" ? "point" : "values", now);
      shown.isReaders = isHere() && Boolean(options?.isReaders);
      renew(shown.isReaders ? before : null);
    };
    hear(source, source.get("view") === "pad" ? "change:point" : "change:values", renewed);
  });
  hear(network, "lw:open change:place change:edition change:reason", () => renew(null));
  hear(network, "comm_live_update", say);
  const kernel = model.widget_manager.kernel;
  for (const signal of [kernel?.statusChanged, kernel?.disposed]) {
    signal?.connect(say);
    onEnd(() => signal?.disconnect(say));
  }
  model.on("change:code", () => {
    shown.isReaders = false;
    renew(null);
  });
  request(network, open);
  if (pool) request(pool, keep);
  shown.isHere = isHere;
  renew(null);
}

function picture({ model, el }) {
  el.classList.add("lw-picture");
  const image = make("img", {});
  const caption = make("div", { class: "lw-caption", "aria-live": model.get("live") ? "polite" : "off" });
  let address = "";
  const ends = [];
  const python = () => {
    const bytes = model.get("png");
    if (!bytes || !bytes.byteLength) return;
    const next = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    image.src = next;
    URL.revokeObjectURL(address);
    address = next;
  };
  const shown = {
    python,
    isHere: () => false,
    isReaders: false, // the last move was made in this page, and its caption too
    image: (source) => (image.src = source),
    caption: (text) => (caption.textContent = text),
  };
  const describe = () => {
    image.alt = model.get("alt");
    if (!(shown.isHere() && shown.isReaders)) caption.textContent = model.get("caption");
  };
  image.style.aspectRatio = model.get("columns");
  image.style.width = `${model.get("width")}px`;
  model.on("change:png", () => shown.isHere() || python());
  model.on("change:alt change:caption", describe);
  python();
  describe();
  el.append(image, caption);
  if (model.get("network")) {
    const where = make("div", { class: "lw-where" });
    el.append(where);
    follow(model, where, shown, (end) => ends.push(end)).catch((error) => {
      where.textContent = `Decoded by Python: ${error.message}`;
    });
  }
  return () => {
    URL.revokeObjectURL(address);
    for (const end of ends) end();
  };
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
    moved(model, "point", point.map(clip));
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
