// The explorer in one file: every control works without a kernel and without a request. `browser.page` puts it together.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SIDE = 28;
const PIXELS = SIDE * SIDE;
const TOLERANCE = 1e-5; // a pixel; more is another network than Python's

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};
// Base 85 as Python's b85encode writes it: five characters are four bytes.
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
const VALUE = Object.fromEntries([...DIGITS].map((digit, value) => [digit, value]));
function bytes(text) {
  const found = new Uint8Array(4 * Math.ceil(text.length / 5));
  for (let i = 0, at = 0; i < text.length; i += 5, at += 4) {
    let number = 0;
    for (let j = i; j < i + 5; j++) number = 85 * number + (VALUE[text[j]] ?? 84);
    found.set([number / 16777216, number / 65536, number / 256, number], at);
  }
  return found.subarray(0, Math.floor((4 * text.length) / 5));
}
const inflate = async (text) => {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
const floats = async (text) => new Float32Array((await inflate(text)).buffer);
const between = (number, low, high) => Math.min(Math.max(number, low), high);
const distance = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

// ------------------------------------------------------------------------------------------------
// Models

async function open(about) {
  const model = { ...about };
  const net = async ({ steps, arrays, content }) =>
    latentNet.Net.load(steps, await latentNet.unpack(arrays, bytes(content)), bytes(DATA.kernel));
  const decoder = await net(about.decoder);
  model.decode = (z) => decoder.run(z)[0];
  if (about.encoder) {
    const encoder = await net(about.encoder);
    const outputs = about.encoder.outputs;
    model.encode = (image) => {
      const [code, logVar] = encoder.run(image, outputs);
      return { code, logVar: logVar?.map((value) => between(value, ...about.log_var_range)) };
    };
  }
  model.codes = await floats(about.codes);
  model.code = (garment) => model.codes.slice(garment * about.latent_dim, (garment + 1) * about.latent_dim);
  return model;
}

// The largest difference of a pixel between this page and Python, on stored codes and on stored images.
async function proof(model) {
  const { z, x_hat: decoded, images, reconstructed } = model.proof;
  const wanted = await floats(decoded);
  let worst = 0;
  z.forEach((code, i) => {
    worst = Math.max(worst, distance(model.decode(code), wanted.slice(i * PIXELS, (i + 1) * PIXELS)));
  });
  if (model.encode) {
    const again = await floats(reconstructed);
    images.forEach((garment, i) => {
      const x_hat = model.decode(model.encode(imageOf(garment)).code);
      worst = Math.max(worst, distance(x_hat, again.slice(i * PIXELS, (i + 1) * PIXELS)));
    });
  }
  return Number.isFinite(worst) ? worst : Infinity;
}

// What this picture costs: nats for a VAE (with z = z_mean), mean squared error for an autoencoder.
function price(model, image) {
  const { code, logVar } = model.encode(image);
  const x_hat = model.decode(code);
  let error = 0;
  let nats = 0;
  let floor = 0;
  for (let i = 0; i < PIXELS; i++) {
    const p = between(x_hat[i], 1e-6, 1 - 1e-6);
    const x = image[i];
    error += (x - x_hat[i]) ** 2 / PIXELS;
    nats -= x * Math.log(p) + (1 - x) * Math.log1p(-p);
    if (x > 0 && x < 1) floor -= x * Math.log(x) + (1 - x) * Math.log1p(-x);
  }
  if (!logVar) return { code, x_hat, text: `mean squared error ${error.toFixed(4)}`, excess: error };
  let kl = 0;
  code.forEach((mean, i) => (kl += 0.5 * (mean * mean + Math.exp(logVar[i]) - 1 - logVar[i])));
  const text = `${(nats + kl).toFixed(1)} nats = reconstruction ${nats.toFixed(1)} + KL ${kl.toFixed(1)}; ` +
    `its own entropy is ${floor.toFixed(1)}`;
  return { code, x_hat, text, excess: nats + kl - floor };
}

// ------------------------------------------------------------------------------------------------
// State: a code for each model, kept in the address

let garments;
let models;
const imageOf = (garment) => Float32Array.from(garments.subarray(garment * PIXELS, (garment + 1) * PIXELS), (level) => level / 255);
const state = { codes: [], source: "", own: null };
const past = [];
const listeners = [];
let lastMove = "";

function go(codes, source, move = "") {
  if (!(move && move === lastMove)) past.push({ codes: state.codes, source: state.source });
  if (past.length > 200) past.shift();
  lastMove = move;
  Object.assign(state, { codes, source });
  changed();
}

function changed() {
  for (const listen of listeners) listen();
  const codes = state.codes.map((code) => Array.from(code, (value) => Number(value.toFixed(3))).join(","));
  history.replaceState(null, "", `#${codes.map((code, i) => `${encodeURIComponent(models[i].name)}=${code}`).join("&")}`);
}

// Codes in the address, or null where they are not those of these models.
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const codes = models.map(({ name }) => (given.get(name) ?? "").split(",").map(Number));
  const fit = codes.every((code, i) => code.length === models[i].latent_dim && code.every(Number.isFinite) && given.has(models[i].name));
  return fit ? codes.map((code) => Float32Array.from(code)) : null;
}

const replaced = (index, code) => state.codes.map((old, i) => (i === index ? code : old));

// ------------------------------------------------------------------------------------------------
// Parts of the page

const { paint } = latentNet;

const picture = (label) => make("canvas", { class: "big", width: SIDE, height: SIDE, role: "img", "aria-label": label });

function figure(canvas, caption) {
  return make("figure", {}, canvas, make("figcaption", {}, caption));
}

function slider(model, index, latent) {
  const [low, high] = [model.low[latent], model.high[latent]];
  const id = `${model.name}-${latent}`;
  const input = make("input", { type: "range", id, min: low, max: high, step: (1 - 1e-9) * (high - low) / 100 });
  const value = make("output", { for: id });
  input.addEventListener("input", () => {
    const code = Float32Array.from(state.codes[index]);
    code[latent] = Number(input.value);
    go(replaced(index, code), "moved by hand", id);
  });
  listeners.push(() => {
    const now = state.codes[index][latent];
    if (Number(input.value) !== now) input.value = now;
    value.textContent = now.toFixed(2);
    input.setAttribute("aria-valuetext", now.toFixed(2));
  });
  const heights = model.heights[latent];
  const bars = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  bars.setAttribute("viewBox", `0 0 ${heights.length} 1`);
  bars.setAttribute("preserveAspectRatio", "none");
  bars.setAttribute("aria-hidden", "true");
  heights.forEach((height, i) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, number] of Object.entries({ x: i, y: 1 - height, width: 0.9, height })) bar.setAttribute(name, number);
    bars.append(bar);
  });
  const label = make("label", { for: id }, make("b", {}, `z[${latent}]`), " ", make("small", {}, model.says[latent]));
  return make("div", { class: "row" }, label, make("div", { class: "track" }, bars, input), value);
}

function map(model, index) {
  const [first, second] = model.map.latents;
  const canvas = make("canvas", { width: 260, height: 260, "aria-hidden": "true" });
  const dot = make("div", { class: "dot" });
  const area = make("div", {
    class: "map", tabindex: "0", role: "application", "aria-roledescription": "map",
    "aria-label": `Map of ${model.name}: z[${first}] to the right, z[${second}] upwards. Arrow keys move the point.`,
  }, canvas, dot);
  const place = (latent, value) => (value - model.low[latent]) / (model.high[latent] - model.low[latent]);
  const context = canvas.getContext("2d");
  model.map.points.forEach(([x, y, label]) => {
    context.fillStyle = DATA.colours[label];
    context.globalAlpha = 0.75;
    context.beginPath();
    context.arc(260 * x, 260 * (1 - y), 2.6, 0, 7);
    context.fill();
  });
  const move = (right, up) => {
    const code = Float32Array.from(state.codes[index]);
    code[first] = model.low[first] + between(right, 0, 1) * (model.high[first] - model.low[first]);
    code[second] = model.low[second] + between(up, 0, 1) * (model.high[second] - model.low[second]);
    go(replaced(index, code), "moved on the map", `map-${index}`);
  };
  const follow = (event) => {
    const box = area.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height);
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    follow(event);
  });
  area.addEventListener("pointermove", (event) => area.hasPointerCapture(event.pointerId) && follow(event));
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  area.addEventListener("keydown", (event) => {
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.1 : 0.02;
    const code = state.codes[index];
    move(place(first, code[first]) + step * way[0], place(second, code[second]) + step * way[1]);
  });
  listeners.push(() => {
    dot.style.left = `${100 * between(place(first, state.codes[index][first]), 0, 1)}%`;
    dot.style.top = `${100 * (1 - between(place(second, state.codes[index][second]), 0, 1))}%`;
  });
  const legend = make("div", { class: "legend" });
  DATA.classes.forEach((name, label) => {
    const mark = make("i");
    mark.style.background = DATA.colours[label];
    legend.append(make("span", {}, mark, name));
  });
  return make("div", {}, area, make("p", { class: "note" }, `z[${first}] to the right, z[${second}] upwards; the other latents stay. Dots are held-out garments.`), legend);
}

function panel(model, index) {
  const shown = picture(`Decoded by ${model.name}`);
  const own = picture(`Your picture as ${model.name} gives it back`);
  const ownFigure = figure(own, "your picture, encoded and decoded");
  const cost = make("p", { "aria-live": "polite" });
  const code = make("p", { class: "note" });
  const section = make("section", { "aria-labelledby": `title-${index}` },
    make("h2", { id: `title-${index}` }, model.name), make("small", {}, model.about),
    make("div", { class: "pictures" }, figure(shown, "its code, decoded"), ownFigure), cost, code);
  const [front, back] = [model.order.slice(0, model.shown), model.order.slice(model.shown)];
  section.append(...front.map((latent) => slider(model, index, latent)));
  if (back.length) {
    const title = `${back.length} latents that say less, or nothing`;
    section.append(make("details", {}, make("summary", {}, title), ...back.map((latent) => slider(model, index, latent))));
  }
  section.append(make("details", { open: DATA.open_maps }, make("summary", {}, "Map of two latents"), map(model, index)));
  listeners.push(() => {
    paint(shown, model.decode(state.codes[index]));
    ownFigure.hidden = !state.own || !model.encode;
    cost.textContent = code.textContent = "";
    if (!state.own) return;
    if (!model.encode) {
      cost.textContent = "This page holds the decoder of this model only, so it cannot encode your picture.";
      return;
    }
    const found = price(model, state.own);
    paint(own, found.x_hat);
    const isFar = found.excess > model.limit;
    cost.textContent = `Your picture: ${found.text}.` + (isFar ? " That is more than 99 of 100 held-out garments: it is unlike a garment for this model." : "");
    code.textContent = `Its code: ${Array.from(found.code, (value) => value.toFixed(1)).join(", ")}`;
  });
  return section;
}

// ------------------------------------------------------------------------------------------------
// Your own picture: drawn, dropped or chosen

function drawing() {
  const canvas = make("canvas", { class: "draw", width: 168, height: 168, role: "img", "aria-label": "Your picture: draw here with the pointer" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const says = make("p", { role: "status" });
  const clear = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 168, 168);
  };
  const read = () => {
    const image = new Float32Array(PIXELS);
    const { data } = context.getImageData(0, 0, 168, 168);
    for (let y = 0; y < 168; y++) {
      for (let x = 0; x < 168; x++) image[Math.floor(y / 6) * SIDE + Math.floor(x / 6)] += 1 - data[4 * (168 * y + x)] / 255;
    }
    return image.map((sum) => sum / 36);
  };
  const use = () => {
    const image = read();
    let [rim, all] = [0, 0];
    for (let i = 0; i < PIXELS; i++) {
      const [row, column] = [Math.floor(i / SIDE), i % SIDE];
      all += image[i] / PIXELS;
      if (row === 0 || column === 0 || row === SIDE - 1 || column === SIDE - 1) rim += image[i] / (4 * SIDE - 4);
    }
    state.own = all > 0.002 ? image : null;
    says.className = rim > 0.5 ? "bad" : "";
    says.textContent = rim > 0.5 ? "The picture looks inverted: garments are dark on white paper here. Try Invert." : "";
    changed();
  };
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [168 * (event.clientX - box.left) / box.width, 168 * (event.clientY - box.top) / box.height];
  };
  const stroke = (event) => {
    const point = at(event);
    context.strokeStyle = "#222";
    context.lineWidth = 14;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...(last ?? point));
    context.lineTo(...point);
    context.stroke();
    last = point;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && stroke(event));
  canvas.addEventListener("pointerup", use);
  const load = async (file) => {
    if (!file?.type.startsWith("image/")) {
      says.className = "bad";
      says.textContent = `${file?.name ?? "This"} is no picture; choose a PNG, JPEG or WebP file.`;
      return;
    }
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch (error) {
      says.className = "bad";
      says.textContent = `${file.name} cannot be opened as a picture (${error.message}).`;
      return;
    }
    clear();
    context.filter = "grayscale(1)";
    const scale = Math.min(168 / bitmap.width, 168 / bitmap.height);
    const [width, height] = [scale * bitmap.width, scale * bitmap.height];
    context.drawImage(bitmap, (168 - width) / 2, (168 - height) / 2, width, height);
    context.filter = "none";
    use();
  };
  const invert = () => {
    const all = context.getImageData(0, 0, 168, 168);
    for (let i = 0; i < all.data.length; i++) if (i % 4 < 3) all.data[i] = 255 - all.data[i];
    context.putImageData(all, 0, 0);
    use();
  };
  const file = make("input", { type: "file", accept: "image/*", onchange: () => load(file.files[0]) });
  const area = make("section", { "aria-labelledby": "own" },
    make("h2", { id: "own" }, "Your own picture"),
    make("p", { class: "note" }, "Draw a garment, drop a picture here, or choose a file. It stays in this page."),
    canvas,
    make("div", { class: "bar" },
      make("label", {}, "a file", file),
      make("button", { type: "button", onclick: invert }, "Invert"),
      make("button", { type: "button", onclick: () => { clear(); use(); } }, "Clear"),
      make("button", { type: "button", onclick: () => {
        if (state.own) go(models.map((model, i) => (model.encode ? model.encode(state.own).code : state.codes[i])), "your picture");
      } }, "Move the sliders there")),
    says);
  area.addEventListener("dragover", (event) => event.preventDefault());
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    load(event.dataTransfer.files[0]);
  });
  clear();
  return area;
}

// ------------------------------------------------------------------------------------------------
// What all models do together

function choice(label, start, chosen) {
  const options = DATA.labels.map((kind, garment) => {
    const example = DATA.labels.slice(0, garment + 1).filter((other) => other === kind).length;
    return make("option", { value: garment, selected: garment === start }, `${DATA.classes[kind]} ${example}`);
  });
  const select = make("select", { onchange: () => chosen(Number(select.value)) }, ...options);
  return [make("label", {}, label, select), select];
}

// A normal random number, after Box and Muller (1958).
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

function controls() {
  const original = picture("The garment that the codes came from");
  const source = make("p", { role: "status" });
  let [first, second] = DATA.start;
  const start = () => {
    paint(original, imageOf(first));
    go(models.map((model) => model.code(first)), `${DATA.classes[DATA.labels[first]]}, encoded by each model`);
  };
  const [firstLabel, firstSelect] = choice("start from", first, (garment) => { first = garment; way.value = 0; start(); });
  const [secondLabel] = choice("go towards", second, (garment) => { second = garment; walk(); });
  const way = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0 });
  const walk = () => {
    const t = Number(way.value);
    const codes = models.map((model) => {
      const [a, b] = [model.code(first), model.code(second)];
      return a.map((value, i) => (1 - t) * value + t * b[i]);
    });
    go(codes, `${Math.round(100 * t)} % of the way between the codes of two garments`, "way");
  };
  way.addEventListener("input", walk);
  const undo = make("button", { type: "button", onclick: () => {
    const before = past.pop();
    lastMove = "";
    Object.assign(state, before);
    changed();
  } }, "Undo");
  const random = () => {
    const noise = Array.from({ length: Math.max(...models.map(({ latent_dim: n }) => n)) }, normal);
    go(models.map(({ latent_dim: n }) => Float32Array.from(noise.slice(0, n))), "one draw of N(0, I), given to every model: an autoencoder was not trained for such codes");
  };
  listeners.push(() => {
    undo.disabled = !past.length;
    source.textContent = `Codes: ${state.source}.`;
  });
  firstSelect.value = first;
  paint(original, imageOf(first));
  const bar = make("div", { class: "bar" }, firstLabel, secondLabel, make("label", {}, "position on the way", way),
    make("button", { type: "button", onclick: random }, "Random"), undo,
    make("button", { type: "button", onclick: () => { way.value = 0; start(); } }, "Reset"));
  return { element: make("div", {}, bar, make("div", { class: "pictures" }, figure(original, "held-out garment")), source), start };
}

// A page that shows this one in a frame can make the frame as high as what is in it.
const tellHeight = () => parent.postMessage({ height: document.body.offsetHeight }, "*");

async function begin() {
  const main = document.getElementById("explorer");
  const badge = make("p", { id: "badge", role: "status" }, "Checking this page against Python ...");
  garments = await inflate(DATA.garments);
  models = await Promise.all(DATA.models.map(open));
  state.codes = models.map((model) => model.code(DATA.start[0]));
  const { element, start } = controls();
  main.replaceChildren(make("h1", {}, DATA.title), make("p", {}, DATA.about), badge, element,
    make("div", { class: "models" }, ...models.map(panel), ...(DATA.drawing ? [drawing()] : [])));
  const given = fromAddress();
  if (given) {
    state.codes = given;
    state.source = "those of the address";
    changed();
  } else start();
  past.length = 0;
  changed();
  document.body.dataset.ready = "yes";
  if (parent !== window) new ResizeObserver(tellHeight).observe(document.body);
  const found = await Promise.all(models.map(proof));
  const worst = Math.max(...found);
  badge.className = worst <= TOLERANCE ? "good" : "bad";
  badge.textContent = worst <= TOLERANCE
    ? `Checked: this page and the Python models differ by at most ${worst.toExponential(0)} a pixel.`
    : `Do not trust this page: it and the Python models differ by ${worst.toExponential(1)} a pixel.`;
  document.body.dataset.worst = worst;
}

begin().catch((error) => {
  document.getElementById("explorer").append(make("p", { class: "bad" }, `The explorer could not start: ${error.message}`));
  throw error;
});
