/**
 * The inputs behind goldens.json, recomputed instead of stored. generate.py has the same functions; README.md states
 * them in words. Every value is exact in float32, so both sides start from the same bits.
 */

export type GradientKind = "dense" | "sparse" | "stops" | "positive";

/** With "stops", the last step with a gradient. */
export const LAST_GRADIENT_STEP = 100;

/** Chris Wellons's lowbias32: a bijection of the 32-bit integers. */
function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

function random(seed: number, step: number, index: number): number {
  return mix(mix(mix(seed) + step) + index);
}

/** The top 24 bits as a number in [-1, 1). */
function symmetric(bits: number): number {
  return ((bits >>> 8) - 2 ** 23) * 2 ** -23;
}

/** Fills `out`, which is the parameter's initial value: uniform in [-1, 1). */
export function initialParam<T extends Float32Array | Float64Array>(out: T, seed: number): T {
  for (let i = 0; i < out.length; i++) out[i] = symmetric(random(seed, 0, i));
  return out;
}

/** Fills `out`, which is the gradient for step 1, 2, ...: magnitudes up to 2^-12 ... 2^3, fixed by seed and index. */
export function gradient<T extends Float32Array | Float64Array>(
  out: T,
  seed: number,
  step: number,
  kind: GradientKind,
): T {
  for (let i = 0; i < out.length; i++) {
    const bits = random(seed, step, i);
    const scale = 2 ** (((5 * i + seed) % 16) - 12);
    let value = symmetric(bits);
    if (kind === "positive") value = (bits >>> 8) * 2 ** -24;
    if (kind === "sparse" && (bits & 7) !== 0) value = 0;
    if (kind === "stops" && step > LAST_GRADIENT_STEP) value = 0;
    out[i] = value * scale;
  }
  return out;
}
