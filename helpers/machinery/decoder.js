// Runs encoders and decoders in the page: no Python, no request, no library. `helpers/machinery/browser.py` describes
// a network as a list of steps, and packs its weights; what it cannot describe is refused there.
//
// A step is {kind, name, from, shape, ...}: what is computed, from the results of which steps, and the shape of what comes out
// (rows, columns, channels; or one number for a vector). Only one image at a time.

const latentNet = (() => {
  const ACTIVATIONS = {
    linear: null,
    relu: (x) => Math.max(x, 0),
    silu: (x) => x / (1 + Math.exp(-x)),
    selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  };
  const size = (shape) => shape.reduce((a, b) => a * b, 1);
  const whole = (n) => 8 * Math.ceil(n / 8); // the kernel works on eight columns at once

  // Padding "same": how many zeros stand before the first row where `count` windows of `kernel`, `stride` apart, lie on `length`.
  const before = (length, count, kernel, stride) => Math.floor(Math.max((count - 1) * stride + kernel - length, 0) / 2);

  function activate(values, activation) {
    const f = ACTIVATIONS[activation];
    if (f) for (let i = 0; i < values.length; i++) values[i] = f(values[i]);
  }

  class Net {
    // `weights` maps "step/kernel" and "step/bias" to Float32Array; `kernel` are the bytes of kernel.wasm.
    static async load(steps, weights, kernel) {
      const { instance } = await WebAssembly.instantiate(kernel, {});
      return new Net(steps, weights, instance.exports);
    }

    constructor(steps, weights, { memory, multiply }) {
      this.steps = steps;
      this.memory = memory;
      this.multiply = multiply;
      this.results = {};
      this.end = 0; // of what is taken of the memory, in bytes
      for (const step of steps) this.prepare(step, weights);
      this.view = (address, length) => new Float32Array(memory.buffer, address, length);
      for (const step of steps) step.data && this.view(step.packed, step.data.length).set(step.data);
      for (const step of steps) delete step.data;
    }

    take(length) {
      const address = this.end;
      this.end += 4 * whole(length);
      const missing = this.end - this.memory.buffer.byteLength;
      if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
      return address;
    }

    // Places in memory, and the weights in panels of eight columns.
    prepare(step, weights) {
      const source = this.steps.find(({ name }) => name === step.from?.[0]);
      step.source = source;
      const kernel = weights[`${step.name}/kernel`];
      if (!kernel) {
        step.at = this.take(size(step.shape));
        return;
      }
      let element; // of the matrix, by row and column
      if (step.kind === "conv_transposed") {
        const [inner, outer] = [source.shape[2], step.shape[2]];
        Object.assign(step, { rows: source.shape[0] * source.shape[1], depth: inner, columns: step.size ** 2 * outer });
        element = (row, column) => kernel[column * inner + row]; // (height, width, out, in)
      } else {
        const outer = step.shape.at(-1);
        const rows = step.kind === "dense" ? 1 : step.shape[0] * step.shape[1];
        Object.assign(step, { rows, depth: kernel.length / outer, columns: outer });
        element = (row, column) => kernel[row * outer + column];
      }
      const { rows, depth, columns } = step;
      step.wide = whole(columns);
      step.data = new Float32Array(depth * step.wide);
      let next = 0;
      for (let panel = 0; panel < columns; panel += 8) {
        for (let row = 0; row < depth; row++) {
          for (let column = panel; column < panel + 8; column++) step.data[next++] = column < columns ? element(row, column) : 0;
        }
      }
      step.packed = this.take(step.data.length);
      step.bias = weights[`${step.name}/bias`] ?? new Float32Array(step.shape.at(-1));
      step.isPatched = step.kind === "conv" && (step.size > 1 || step.stride > 1);
      if (step.isPatched) step.patches = this.take(rows * depth);
      step.product = this.take(rows * step.wide);
      const isPlain = step.kind !== "conv_transposed" && step.wide === columns;
      step.at = isPlain ? step.product : this.take(size(step.shape));
    }

    // The results of the last step, or of those named. A net of several inputs is given them by their names.
    run(input, names = [this.steps.at(-1).name]) {
      const isOne = ArrayBuffer.isView(input) || Array.isArray(input);
      for (const step of this.steps) this[step.kind](step, isOne ? input : input[step.name]);
      return names.map((name) => {
        const step = this.steps.find((one) => one.name === name);
        return this.view(step.at, size(step.shape)).slice();
      });
    }

    of(step) {
      return this.view(step.at, size(step.shape));
    }

    input(step, input) {
      this.of(step).set(input);
    }

    same(step) {
      this.of(step).set(this.of(step.source));
      activate(this.of(step), step.activation);
    }

    add(step) {
      const out = this.of(step);
      out.fill(0);
      for (const from of step.from) {
        const part = this.of(this.steps.find(({ name }) => name === from));
        for (let i = 0; i < out.length; i++) out[i] += part[i];
      }
      activate(out, step.activation);
    }

    // A class index as a vector; an index that is no class is 0 everywhere.
    one_hot(step) {
      const label = this.of(step.source)[0];
      this.of(step).fill(0);
      if (label >= 0 && label < step.shape[0]) this.of(step)[label] = 1;
    }

    concatenate(step) {
      let start = 0;
      for (const from of step.from) {
        const part = this.of(this.steps.find(({ name }) => name === from));
        this.of(step).set(part, start);
        start += part.length;
      }
    }

    product(step, address, start) {
      const { rows, depth, wide } = step;
      const product = this.view(step.product, rows * wide);
      product.fill(0);
      if (start) for (let row = 0; row < rows; row++) product.set(start, row * wide);
      this.multiply(address, step.packed, step.product, rows, depth, wide);
      return product;
    }

    dense(step) {
      this.conv(step);
    }

    conv(step) {
      const { rows, wide, columns } = step;
      if (step.isPatched) this.patch(step);
      const product = this.product(step, step.isPatched ? step.patches : step.source.at, step.bias);
      const out = this.of(step);
      if (step.at !== step.product) {
        for (let row = 0; row < rows; row++) out.set(product.subarray(row * wide, row * wide + columns), row * columns);
      }
      activate(out, step.activation);
    }

    // For each pixel that comes out, the window of the image that it sees, as a row.
    patch(step) {
      const [height, width, channels] = step.source.shape;
      const { size: kernel, stride, depth } = step;
      const x = this.of(step.source);
      const rows = this.view(step.patches, step.rows * depth);
      rows.fill(0);
      const top = before(height, step.shape[0], kernel, stride);
      const left = before(width, step.shape[1], kernel, stride);
      let row = 0;
      for (let i = 0; i < step.shape[0]; i++) {
        for (let j = 0; j < step.shape[1]; j++, row += depth) {
          const first = j * stride - left;
          const [from, to] = [Math.max(first, 0), Math.min(first + kernel, width)];
          for (let k = 0; k < kernel; k++) {
            const y = i * stride - top + k;
            if (y < 0 || y >= height) continue;
            const line = x.subarray((y * width + from) * channels, (y * width + to) * channels);
            rows.set(line, row + (k * kernel + from - first) * channels);
          }
        }
      }
    }

    // Each pixel of the source puts its stamp of size x size pixels onto what comes out.
    conv_transposed(step) {
      const [height, width] = step.source.shape;
      const [tall, broad, channels] = step.shape;
      const { size: kernel, stride, wide } = step;
      const stamps = this.product(step, step.source.at);
      const out = this.of(step);
      for (let i = 0; i < out.length; i += channels) out.set(step.bias, i);
      const top = before(tall, height, kernel, stride);
      const left = before(broad, width, kernel, stride);
      for (let i = 0; i < height; i++) {
        for (let j = 0; j < width; j++) {
          for (let k = 0; k < kernel; k++) {
            const y = i * stride - top + k;
            if (y < 0 || y >= tall) continue;
            for (let l = 0; l < kernel; l++) {
              const x = j * stride - left + l;
              if (x < 0 || x >= broad) continue;
              const to = (y * broad + x) * channels;
              const from = (i * width + j) * wide + (k * kernel + l) * channels;
              for (let c = 0; c < channels; c++) out[to + c] += stamps[from + c];
            }
          }
        }
      }
      activate(out, step.activation);
    }
  }

  // Weights as `browser.packed_weights` writes them: name, shape and scales of each array, and all numbers one after the other.
  async function unpack(arrays, bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const numbers = new Int8Array(await new Response(stream).arrayBuffer());
    const weights = {};
    let start = 0;
    for (const { name, shape, scale, values } of arrays) {
      if (values) {
        weights[name] = Float32Array.from(values);
        continue;
      }
      const array = new Float32Array(size(shape));
      for (let i = 0; i < array.length; i++) array[i] = numbers[start + i] * scale[i % scale.length];
      weights[name] = array;
      start += array.length;
    }
    return weights;
  }

  // An image as grey levels, ink dark on white, a pixel of the canvas for a pixel of the image.
  function paint(canvas, image) {
    const side = Math.sqrt(image.length);
    if (canvas.width !== side) [canvas.width, canvas.height] = [side, side];
    const context = canvas.getContext("2d");
    const picture = context.createImageData(side, side);
    for (let i = 0; i < image.length; i++) {
      const grey = Math.round(255 * (1 - Math.min(Math.max(image[i], 0), 1)));
      picture.data.set([grey, grey, grey, 255], 4 * i);
    }
    context.putImageData(picture, 0, 0);
  }

  return { Net, unpack, paint };
})();
