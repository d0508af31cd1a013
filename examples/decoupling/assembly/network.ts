/**
 * A network of one hidden layer over sparse inputs, forward and backward over a whole batch at once:
 *
 *     hidden = relu(x · w1)      logits = hidden · w2ᵀ      loss = mean cross entropy of softmax(logits)
 *
 * Rows of matrices lie one after another. `hidden` is a multiple of 16 and `padded` one of 8; there is room for a multiple of 4
 * examples. So no loop has a rest.
 */

/** Where everything lies, in bytes, and how much of it there is. The host fills it in. */
@unmanaged
class Network {
  hidden!: usize;
  classes!: usize;
  /** Columns of `logits`: the number of classes, made a multiple of 8. */
  padded!: usize;
  /** [inputs, hidden], and its gradient. */
  w1!: usize;
  w1Grad!: usize;
  /** [classes, hidden], and its gradient. */
  w2!: usize;
  w2Grad!: usize;
  /** Of the layer in between: [examples, hidden]. */
  activations!: usize;
  activationGrads!: usize;
  /** [examples, padded]: logits, and after `backward` their gradients. */
  logits!: usize;
  /** 0 for a class, -Infinity for padding: [padded]. */
  mask!: usize;
  /** [hidden, padded]. */
  w2Transposed!: usize;
  /** [padded, hidden]. */
  w2Product!: usize;
}

/** Examples as compressed sparse rows: example i has the entries `starts[i]` up to `starts[i + 1]`. */
@unmanaged
class Examples {
  starts!: usize;
  columns!: usize;
  values!: usize;
  labels!: usize;
}

/** The logits of the `count` examples whose numbers stand at `batch`. */
export function forward(network: Network, examples: Examples, batch: usize, count: usize): void {
  const hidden = network.hidden << 2;
  for (let i: usize = 0; i < roundUp(count, 4); i++) {
    const out = network.activations + i * hidden;
    if (i < count) activate(network, examples, load<u32>(batch + (i << 2)), out);
    else memory.fill(out, 0, hidden);
  }
  transpose(network.w2, network.classes, network.hidden, network.w2Transposed, network.padded);
  multiply(
    network.activations, roundUp(count, 4), hidden, 4, network.hidden,
    network.w2Transposed, network.padded, network.logits,
  );
}

/** After `forward`: adds the gradient of the batch's mean cross entropy to `w1Grad` and `w2Grad`. */
export function backward(network: Network, examples: Examples, batch: usize, count: usize): void {
  const rows = roundUp(count, 4), hidden = network.hidden << 2, padded = network.padded << 2;
  for (let i: usize = 0; i < count; i++) {
    const label = load<u32>(examples.labels + (load<u32>(batch + (i << 2)) << 2));
    softmaxGrad(network.logits + i * padded, padded, network.mask, label, count);
  }
  // A sum over examples; the activations of those that only fill up are 0. Rows of padded classes are left where they are.
  multiply(network.logits, network.padded, 4, padded, rows, network.activations, network.hidden, network.w2Product);
  addTo(network.w2Grad, network.w2Product, network.classes * hidden);
  multiply(network.logits, rows, padded, 4, network.classes, network.w2, network.hidden, network.activationGrads);
  for (let i: usize = 0; i < count; i++) {
    const activations = network.activations + i * hidden, grads = network.activationGrads + i * hidden;
    for (let at: usize = 0; at < hidden; at += 16) {
      const active = f32x4.gt(v128.load(activations + at), f32x4.splat(0));
      v128.store(grads + at, v128.and(v128.load(grads + at), active));
    }
    spread(network, examples, load<u32>(batch + (i << 2)), grads);
  }
}

/** out = relu(x · w1) of one example. */
function activate(network: Network, examples: Examples, example: usize, out: usize): void {
  const width = network.hidden << 2;
  const first = load<u32>(examples.starts + (example << 2)), end = load<u32>(examples.starts + (example << 2), 4);
  const zero = f32x4.splat(0);
  for (let at: usize = 0; at < width; at += 64) {
    let a = zero, b = zero, c = zero, d = zero;
    for (let entry: usize = first; entry < end; entry++) {
      const value = v128.load32_splat(examples.values + (entry << 2));
      const row = network.w1 + <usize>load<u32>(examples.columns + (entry << 2)) * width + at;
      a = f32x4.add(a, f32x4.mul(value, v128.load(row)));
      b = f32x4.add(b, f32x4.mul(value, v128.load(row, 16)));
      c = f32x4.add(c, f32x4.mul(value, v128.load(row, 32)));
      d = f32x4.add(d, f32x4.mul(value, v128.load(row, 48)));
    }
    v128.store(out + at, f32x4.max(a, zero));
    v128.store(out + at, f32x4.max(b, zero), 16);
    v128.store(out + at, f32x4.max(c, zero), 32);
    v128.store(out + at, f32x4.max(d, zero), 48);
  }
}

/** w1Grad += xᵀ · grads of one example. */
function spread(network: Network, examples: Examples, example: usize, grads: usize): void {
  const width = network.hidden << 2;
  const first = load<u32>(examples.starts + (example << 2)), end = load<u32>(examples.starts + (example << 2), 4);
  for (let entry: usize = first; entry < end; entry++) {
    const value = v128.load32_splat(examples.values + (entry << 2));
    const row = network.w1Grad + <usize>load<u32>(examples.columns + (entry << 2)) * width;
    for (let at: usize = 0; at < width; at += 16) {
      v128.store(row + at, f32x4.add(v128.load(row + at), f32x4.mul(value, v128.load(grads + at))));
    }
  }
}

/** logits = (softmax(logits) - 1 at the label) / count */
function softmaxGrad(logits: usize, padded: usize, mask: usize, label: usize, count: usize): void {
  let largest = f32x4.splat(-Infinity);
  for (let at: usize = 0; at < padded; at += 16) {
    const masked = f32x4.add(v128.load(logits + at), v128.load(mask + at));
    v128.store(logits + at, masked);
    largest = f32x4.max(largest, masked);
  }
  largest = f32x4.max(largest, swapHalves(largest));
  largest = f32x4.max(largest, swapNeighbours(largest));
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < padded; at += 16) {
    const power = exp(f32x4.sub(v128.load(logits + at), largest));
    v128.store(logits + at, power);
    sum = f32x4.add(sum, power);
  }
  sum = f32x4.add(sum, swapHalves(sum));
  sum = f32x4.add(sum, swapNeighbours(sum));
  const scale = f32x4.div(f32x4.splat(1), f32x4.mul(sum, f32x4.splat(<f32>count)));
  for (let at: usize = 0; at < padded; at += 16) {
    v128.store(logits + at, f32x4.mul(v128.load(logits + at), scale));
  }
  store<f32>(logits + (label << 2), load<f32>(logits + (label << 2)) - <f32>1 / <f32>count);
}

// @ts-expect-error: decorator
@inline
function swapHalves(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 2, 3, 0, 1);
}

// @ts-expect-error: decorator
@inline
function swapNeighbours(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 1, 0, 3, 2);
}

/** e^x for x <= 0, to 2e-7 of it (Cephes, expf); e^-87 below that, where float32 has no normal numbers any more. */
// @ts-expect-error: decorator
@inline
function exp(x: v128): v128 {
  const log2e: f32 = 1.44269504088896341, high: f32 = 0.693359375, low: f32 = -2.12194440e-4;
  x = f32x4.max(x, f32x4.splat(-87));
  const power = f32x4.nearest(f32x4.mul(x, f32x4.splat(log2e)));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(power, f32x4.splat(high))), f32x4.mul(power, f32x4.splat(low)));
  let y = f32x4.splat(1.9875691500e-4);
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.3981999507e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(8.3334519073e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(4.1665795894e-2));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.6666665459e-1));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(5.0000001201e-1));
  y = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(y, r), r), r), f32x4.splat(1));
  const exponent = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(power), i32x4.splat(127)), 23);
  return f32x4.mul(y, exponent);
}

/**
 * out = x · m for x of `rows` rows, a multiple of 4, and m of `columns` columns, a multiple of 8. Neighbours in a column of x
 * are `rowStride` bytes apart, in a row `innerStride`, so x may also be read as its transpose.
 */
function multiply(
  x: usize, rows: usize, rowStride: usize, innerStride: usize, inner: usize, m: usize, columns: usize, out: usize,
): void {
  const width = columns << 2;
  for (let row: usize = 0; row < rows; row += 4) {
    for (let at: usize = 0; at < width; at += 32) {
      let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
      let x0 = x + row * rowStride, from = m + at;
      for (let k: usize = 0; k < inner; k++) {
        const left = v128.load(from), right = v128.load(from, 16);
        let factor = v128.load32_splat(x0);
        a = f32x4.add(a, f32x4.mul(factor, left));
        b = f32x4.add(b, f32x4.mul(factor, right));
        factor = v128.load32_splat(x0 + rowStride);
        c = f32x4.add(c, f32x4.mul(factor, left));
        d = f32x4.add(d, f32x4.mul(factor, right));
        factor = v128.load32_splat(x0 + 2 * rowStride);
        e = f32x4.add(e, f32x4.mul(factor, left));
        f = f32x4.add(f, f32x4.mul(factor, right));
        factor = v128.load32_splat(x0 + 3 * rowStride);
        g = f32x4.add(g, f32x4.mul(factor, left));
        h = f32x4.add(h, f32x4.mul(factor, right));
        x0 += innerStride;
        from += width;
      }
      const to = out + row * width + at;
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to + width, c);
      v128.store(to + width, d, 16);
      v128.store(to + 2 * width, e);
      v128.store(to + 2 * width, f, 16);
      v128.store(to + 3 * width, g);
      v128.store(to + 3 * width, h, 16);
    }
  }
}

/** `from` of rows × columns, to columns × `stride`. */
function transpose(from: usize, rows: usize, columns: usize, to: usize, stride: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    for (let column: usize = 0; column < columns; column++) {
      store<f32>(to + ((column * stride + row) << 2), load<f32>(from + ((row * columns + column) << 2)));
    }
  }
}

function addTo(to: usize, from: usize, bytes: usize): void {
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
  }
}

// @ts-expect-error: decorator
@inline
function roundUp(count: usize, multiple: usize): usize {
  return (count + multiple - 1) / multiple * multiple;
}
