/**
 * The float32 oracle: the arithmetic of docs/arithmetic.md, one element and one rounding at a time, as slow and as plain as it
 * gets. It shares no code with src/ or assembly/ and must not: what the kernels compute is compared with it, bit for
 * bit.
 *
 * A product, sum, quotient or square root of float32 values formed in float64 and rounded by `Math.fround` is the
 * correctly rounded float32 result, subnormals included (53 >= 2 * 24 + 2 bits), so every line below is one IEEE
 * float32 operation.
 */

export interface ReferenceOptions {
  mode: "adam" | "adamw";
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  amsgrad: boolean;
  maximize: boolean;
  biasCorrection: boolean;
  /** How moments are stored; float32 if left out. */
  moments?: "float32" | "bfloat16";
}

export interface ReferenceState {
  param: Float32Array;
  grad: Float32Array;
  expAvg: Float32Array;
  expAvgSq: Float32Array;
  /** Read and written with `amsgrad` only. */
  maxExpAvgSq: Float32Array;
  /** Steps taken so far. */
  step: number;
}

/** Subnormal moments become +0 after the update of every step t with t % FLUSH_EVERY === 0. */
export const FLUSH_EVERY = 32;

const SMALLEST_NORMAL = 2 ** -126;

/** NaN and everything from 2^-126 up are kept; smaller magnitudes, and -0, become +0. */
function flushed(x: number): number {
  return Math.abs(x) < SMALLEST_NORMAL ? 0 : x;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** The bits of the nearest float32, as an integer. */
function bitsOf(x: number): number {
  FLOAT[0] = x;
  return BITS[0]!;
}

/** The float32 that begins with these 16 bits and goes on with zeros. */
export function fromBfloat16(bits: number): number {
  BITS[0] = bits * 65536;
  return FLOAT[0]!;
}

const WORD = 2n ** 32n;

/** What moments are rounded with in step t: fmix32 of (low 32 bits of t) · 0x9E3779B1, modulo 2^32. */
export function referenceSeed(t: number): bigint {
  let h = ((BigInt(t) % WORD) * 0x9e3779b1n) % WORD;
  h ^= h >> 16n;
  h = (h * 0x85ebca6bn) % WORD;
  h ^= h >> 13n;
  h = (h * 0xc2b2ae35n) % WORD;
  h ^= h >> 16n;
  return h;
}

/** x with `addend`, below 2^16, added to its bits, of which only the upper 16 are kept; NaN becomes 0x7FC0. */
function stored(x: number, addend: number): number {
  if (Number.isNaN(x)) return fromBfloat16(0x7fc0);
  return fromBfloat16(Math.floor(((bitsOf(x) + addend) % 2 ** 32) / 65536));
}

/**
 * One step of one tensor, in place. Moments that are bfloat16 are float32 values here that a bfloat16 holds.
 *
 * @param factor `clip / gradScale` in float64, before the sign of `maximize` and before narrowing
 */
export function referenceStep(state: ReferenceState, options: ReferenceOptions, factor = 1): void {
  const { mode, lr, eps, weightDecay, amsgrad, maximize, biasCorrection } = options;
  const [beta1, beta2] = options.betas;
  const { param, grad, expAvg, expAvgSq, maxExpAvgSq } = state;

  state.step += 1;
  const t = state.step;
  const biasCorrection1 = biasCorrection ? 1 - beta1 ** t : 1;
  const biasCorrection2 = biasCorrection ? 1 - beta2 ** t : 1;

  const b1 = Math.fround(beta1);
  const oneMinusB1 = Math.fround(1 - beta1);
  const b2 = Math.fround(beta2);
  const oneMinusB2 = Math.fround(1 - beta2);
  const stepSize = Math.fround(lr / biasCorrection1);
  const invSqrtBiasCorrection2 = Math.fround(1 / Math.sqrt(biasCorrection2));
  const epsilon = Math.fround(eps);
  const lambda = Math.fround(weightDecay);
  const keep = Math.fround(1 - lr * weightDecay);
  const s = Math.fround(maximize ? -factor : factor);
  const flush = t % FLUSH_EVERY === 0;
  const seed = referenceSeed(t);

  for (let i = 0; i < param.length; i++) {
    let p = param[i]!;
    let g = grad[i]!;
    let m = expAvg[i]!;
    let v = expAvgSq[i]!;

    if (s !== 1) g = Math.fround(g * s);

    if (mode === "adamw") {
      p = Math.fround(p * keep);
    } else if (weightDecay !== 0) {
      const decay = Math.fround(lambda * p);
      g = Math.fround(g + decay);
    }

    const oldM = Math.fround(m * b1);
    const newM = Math.fround(g * oneMinusB1);
    m = Math.fround(oldM + newM);

    const oldV = Math.fround(v * b2);
    const scaledG = Math.fround(oneMinusB2 * g);
    const newV = Math.fround(scaledG * g);
    v = Math.fround(oldV + newV);

    // NaN from either side stays, and +0 beats -0: as f32x4.max.
    const a = amsgrad ? Math.max(maxExpAvgSq[i]!, v) : v;

    const numerator = Math.fround(stepSize * m);
    const root = Math.fround(Math.sqrt(a));
    const corrected = Math.fround(root * invSqrtBiasCorrection2);
    const denom = Math.fround(corrected + epsilon);
    const update = Math.fround(numerator / denom);
    p = Math.fround(p - update);

    param[i] = p;
    let kept = [m, v, a];
    if (options.moments === "bfloat16") {
      const h = Number(((BigInt(bitsOf(m)) + seed) * 0x9e3779b1n) % WORD);
      const upper = Math.floor(h / 65536);
      kept = [stored(m, h % 65536), stored(v, upper), stored(a, upper)];
    }
    if (flush) kept = kept.map(flushed);
    expAvg[i] = kept[0]!;
    expAvgSq[i] = kept[1]!;
    if (amsgrad) maxExpAvgSq[i] = kept[2]!;
  }
}

/**
 * L2 norm over all gradients, in float64, summed in order.
 *
 * @param gradScale the buffers hold `gradScale` x the true gradient; the norm is that of the true one
 */
export function referenceNorm(grads: readonly Float32Array[], gradScale = 1): number {
  let sum = 0;
  for (const grad of grads) {
    for (const g of grad) sum += g * g;
  }
  return Math.sqrt(sum) / gradScale;
}

/**
 * beta^t, correctly rounded to float64 (ties to even, gradual underflow), from exact integer arithmetic:
 * beta is m * 2^-e for integers m and e, hence beta^t is m^t * 2^-(e*t). Meant for t up to about 3000.
 */
export function exactPower(beta: number, t: number): number {
  if (!(beta >= 0 && beta <= 1) || !Number.isSafeInteger(t) || t < 0) {
    throw new RangeError(`exactPower: beta in [0, 1] and an integer t >= 0, got ${beta} and ${t}`);
  }
  if (t === 0) return 1;
  if (beta === 0) return 0;

  let mantissa = beta;
  let exponent = 0;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2; // exact
    exponent += 1;
  }
  const power = BigInt(mantissa) ** BigInt(t);
  const powerExponent = exponent * t;

  // Keep 53 bits, or fewer where the last of them would lie below 2^-1074, the lowest bit of a float64.
  const hex = power.toString(16);
  const bits = 4 * (hex.length - 1) + (32 - Math.clz32(Number.parseInt(hex[0]!, 16)));
  const dropped = Math.max(bits - 53, powerExponent - 1074);
  if (dropped <= 0) return Number(power) * 2 ** -powerExponent;
  // Less than half of the lowest bit; and shifting by that much may exceed what an engine allows an integer.
  if (dropped > bits) return 0;

  const shift = BigInt(dropped);
  let kept = power >> shift;
  const twiceRest = (power - (kept << shift)) << 1n;
  const unit = 1n << shift;
  if (twiceRest > unit || (twiceRest === unit && (kept & 1n) === 1n)) kept += 1n;
  return Number(kept) * 2 ** (dropped - powerExponent);
}
