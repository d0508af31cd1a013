import type { Tensors } from "./task.js";

/** One block: causal attention, then a layer of ReLUs, each on what RMS normalization leaves and added to its input. */
export interface Size {
  /** Different tokens. */
  readonly tokens: number;
  /** Tokens of a sequence. */
  readonly length: number;
  /** The first place whose next token is predicted. */
  readonly from: number;
  /** Numbers per token inside. A multiple of `heads`. */
  readonly width: number;
  readonly heads: number;
  readonly hidden: number;
}

type Numbers = Float32Array | Float64Array;

/** Tensors by name, rows first: `x · w` is how each is used. */
export function shapesOf({ tokens, length, width, hidden }: Size) {
  return {
    embedding: [tokens, width],
    position: [length, width],
    query: [width, width],
    key: [width, width],
    value: [width, width],
    output: [width, width],
    up: [width, hidden],
    down: [hidden, width],
    logits: [width, tokens],
  } as const;
}

/** Inside of RMS normalization, so that a token of zeros divides by no zero. */
const EPS = 1e-6;

/** Forward and backward pass, one sequence at a time, in float64; parameters and gradients are what the caller has. */
export class Transformer {
  readonly #size: Size;
  readonly #x: readonly [Float64Array, Float64Array, Float64Array];
  readonly #normed: readonly [Float64Array, Float64Array, Float64Array];
  readonly #rms: readonly [Float64Array, Float64Array, Float64Array];
  readonly #q: Float64Array;
  readonly #k: Float64Array;
  readonly #v: Float64Array;
  readonly #weights: Float64Array;
  readonly #mixed: Float64Array;
  readonly #hidden: Float64Array;
  readonly #logits: Float64Array;
  // Gradients of the above, as long as they are needed.
  readonly #dx: Float64Array;
  readonly #dNormed: Float64Array;
  readonly #dMixed: Float64Array;
  readonly #dq: Float64Array;
  readonly #dk: Float64Array;
  readonly #dv: Float64Array;
  readonly #dHidden: Float64Array;
  readonly #dWeights: Float64Array;

  constructor(size: Size) {
    const { tokens, length, width, heads, hidden } = size;
    const inside = () => new Float64Array(length * width);
    const each = () => new Float64Array(length);
    this.#size = size;
    this.#x = [inside(), inside(), inside()];
    this.#normed = [inside(), inside(), inside()];
    this.#rms = [each(), each(), each()];
    [this.#q, this.#k, this.#v, this.#mixed] = [inside(), inside(), inside(), inside()];
    this.#weights = new Float64Array(heads * length * length);
    this.#hidden = new Float64Array(length * hidden);
    this.#logits = new Float64Array(length * tokens);
    [this.#dx, this.#dNormed, this.#dMixed] = [inside(), inside(), inside()];
    [this.#dq, this.#dk, this.#dv] = [inside(), inside(), inside()];
    this.#dHidden = new Float64Array(length * hidden);
    this.#dWeights = each();
  }

  /**
   * Mean cross entropy in nats of the next token, over the places of a sequence where it is predicted.
   *
   * @param text a sequence from `at` on, and the token after it
   */
  forward(params: Tensors<Numbers>, text: Uint8Array, at: number): number {
    const { tokens, length, from, width, hidden } = this.#size;
    const [x0, x1, x2] = this.#x;
    for (let t = 0; t < length; t++) {
      const row = text[at + t]! * width;
      for (let i = 0; i < width; i++)
        x0[t * width + i] = params.embedding![row + i]! + params.position![t * width + i]!;
    }
    this.#normalize(0);
    multiply(this.#q, this.#normed[0], params.query!, length, width, width);
    multiply(this.#k, this.#normed[0], params.key!, length, width, width);
    multiply(this.#v, this.#normed[0], params.value!, length, width, width);
    this.#attend();
    multiply(x1, this.#mixed, params.output!, length, width, width);
    for (let i = 0; i < x1.length; i++) x1[i]! += x0[i]!;

    this.#normalize(1);
    multiply(this.#hidden, this.#normed[1], params.up!, length, width, hidden);
    for (let i = 0; i < this.#hidden.length; i++) if (this.#hidden[i]! < 0) this.#hidden[i] = 0;
    multiply(x2, this.#hidden, params.down!, length, hidden, width);
    for (let i = 0; i < x2.length; i++) x2[i]! += x1[i]!;

    this.#normalize(2);
    multiply(this.#logits, this.#normed[2], params.logits!, length, width, tokens);
    // From here on `#logits` are probabilities.
    let loss = 0;
    for (let t = from; t < length; t++) {
      softmax(this.#logits, t * tokens, tokens);
      loss -= Math.log(this.#logits[t * tokens + text[at + t + 1]!]!);
    }
    return loss / (length - from);
  }

  /** As `forward`, and adds `scale` times the loss's gradient to `grads`. */
  backward(params: Tensors<Numbers>, grads: Tensors<Numbers>, text: Uint8Array, at: number, scale: number): number {
    const { tokens, length, from, width, hidden } = this.#size;
    const loss = this.forward(params, text, at);
    const dLogits = this.#logits;
    dLogits.fill(0, 0, from * tokens);
    for (let t = from; t < length; t++) dLogits[t * tokens + text[at + t + 1]!]! -= 1;
    for (let i = 0; i < dLogits.length; i++) dLogits[i]! *= scale / (length - from);

    this.#dx.fill(0);
    multiplyBack(this.#dNormed, grads.logits!, dLogits, this.#normed[2], params.logits!, length, width, tokens);
    this.#normalizeBack(2);

    multiplyBack(this.#dHidden, grads.down!, this.#dx, this.#hidden, params.down!, length, hidden, width);
    for (let i = 0; i < this.#dHidden.length; i++) if (this.#hidden[i] === 0) this.#dHidden[i] = 0;
    multiplyBack(this.#dNormed, grads.up!, this.#dHidden, this.#normed[1], params.up!, length, width, hidden);
    this.#normalizeBack(1);

    multiplyBack(this.#dMixed, grads.output!, this.#dx, this.#mixed, params.output!, length, width, width);
    this.#attendBack();
    for (const [d, name] of [
      [this.#dq, "query"],
      [this.#dk, "key"],
      [this.#dv, "value"],
    ] as const) {
      multiplyBack(this.#dNormed, grads[name]!, d, this.#normed[0], params[name]!, length, width, width);
      this.#normalizeBack(0);
    }

    for (let t = 0; t < length; t++) {
      const row = text[at + t]! * width;
      for (let i = 0; i < width; i++) {
        grads.embedding![row + i]! += this.#dx[t * width + i]!;
        grads.position![t * width + i]! += this.#dx[t * width + i]!;
      }
    }
    return loss;
  }

  /** Each token of `#x[stage]`, divided by its root mean square. */
  #normalize(stage: 0 | 1 | 2): void {
    const { length, width } = this.#size;
    const [x, normed, rms] = [this.#x[stage], this.#normed[stage], this.#rms[stage]];
    for (let t = 0; t < length; t++) {
      let sum = 0;
      for (let i = t * width; i < (t + 1) * width; i++) sum += x[i]! * x[i]!;
      const root = Math.sqrt(sum / width + EPS);
      rms[t] = root;
      for (let i = t * width; i < (t + 1) * width; i++) normed[i] = x[i]! / root;
    }
  }

  /** Adds to `#dx` what `#dNormed` means for `#x[stage]`. */
  #normalizeBack(stage: 0 | 1 | 2): void {
    const { length, width } = this.#size;
    const [normed, rms, dNormed] = [this.#normed[stage], this.#rms[stage], this.#dNormed];
    for (let t = 0; t < length; t++) {
      let sum = 0;
      for (let i = t * width; i < (t + 1) * width; i++) sum += dNormed[i]! * normed[i]!;
      const along = sum / width;
      for (let i = t * width; i < (t + 1) * width; i++) this.#dx[i]! += (dNormed[i]! - normed[i]! * along) / rms[t]!;
    }
  }

  /** Each token's values of the tokens up to it, weighted by how well its query fits their keys. */
  #attend(): void {
    const { length, width, heads } = this.#size;
    const [q, k, v, weights, mixed] = [this.#q, this.#k, this.#v, this.#weights, this.#mixed];
    const own = width / heads;
    mixed.fill(0);
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < length; t++) {
        const [row, to] = [(h * length + t) * length, t * width + h * own];
        for (let s = 0; s <= t; s++) {
          let dot = 0;
          for (let i = 0; i < own; i++) dot += q[to + i]! * k[s * width + h * own + i]!;
          weights[row + s] = dot / Math.sqrt(own);
        }
        softmax(weights, row, t + 1);
        for (let s = 0; s <= t; s++) {
          const weight = weights[row + s]!;
          for (let i = 0; i < own; i++) mixed[to + i]! += weight * v[s * width + h * own + i]!;
        }
      }
    }
  }

  /** Gradients of queries, keys and values from those of `#mixed`. */
  #attendBack(): void {
    const { length, width, heads } = this.#size;
    const [q, k, v, weights, dMixed, dWeights] = [
      this.#q,
      this.#k,
      this.#v,
      this.#weights,
      this.#dMixed,
      this.#dWeights,
    ];
    const [dq, dk, dv] = [this.#dq, this.#dk, this.#dv];
    const own = width / heads;
    for (const d of [dq, dk, dv]) d.fill(0);
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < length; t++) {
        const [row, to] = [(h * length + t) * length, t * width + h * own];
        let mean = 0;
        for (let s = 0; s <= t; s++) {
          const [from, weight] = [s * width + h * own, weights[row + s]!];
          let dot = 0;
          for (let i = 0; i < own; i++) {
            dot += dMixed[to + i]! * v[from + i]!;
            dv[from + i]! += weight * dMixed[to + i]!;
          }
          dWeights[s] = dot;
          mean += weight * dot;
        }
        for (let s = 0; s <= t; s++) {
          const from = s * width + h * own;
          const score = (weights[row + s]! * (dWeights[s]! - mean)) / Math.sqrt(own);
          for (let i = 0; i < own; i++) {
            dq[to + i]! += score * k[from + i]!;
            dk[from + i]! += score * q[to + i]!;
          }
        }
      }
    }
  }
}

/** out = x · w. @param x rows of `inner` numbers @param w `inner` rows of `columns` numbers */
function multiply(out: Float64Array, x: Float64Array, w: Numbers, rows: number, inner: number, columns: number): void {
  out.fill(0);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < inner; k++) {
      const factor = x[r * inner + k]!;
      if (factor === 0) continue;
      for (let c = 0; c < columns; c++) out[r * columns + c]! += factor * w[k * columns + c]!;
    }
  }
}

/** From the gradient of x · w that of x, which is written, and that of w, which is added. */
function multiplyBack(
  dx: Float64Array,
  dw: Numbers,
  dOut: Float64Array,
  x: Float64Array,
  w: Numbers,
  rows: number,
  inner: number,
  columns: number,
): void {
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < inner; k++) {
      const factor = x[r * inner + k]!;
      let sum = 0;
      for (let c = 0; c < columns; c++) {
        const d = dOut[r * columns + c]!;
        sum += d * w[k * columns + c]!;
        dw[k * columns + c]! += factor * d;
      }
      dx[r * inner + k] = sum;
    }
  }
}

/** In place. The largest is subtracted first, so that no exponential overflows. */
function softmax(values: Float64Array, at: number, count: number): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = at; i < at + count; i++) largest = Math.max(largest, values[i]!);
  let sum = 0;
  for (let i = at; i < at + count; i++) {
    values[i] = Math.exp(values[i]! - largest);
    sum += values[i]!;
  }
  for (let i = at; i < at + count; i++) values[i]! /= sum;
}
