import { div, load, max, mul, mulAdd, store, sub } from "./lane";
import { Format, read, readMoment } from "./storage";

/** What happens to a gradient: the words of `GRADIENTS` in src/kernels/table.ts. */
export const enum GradientUse {
  Plain,
  /** Multiplied by the gradient factor. */
  Scaled,
  /** Multiplied, and set to zero in memory. */
  Zeroing,
}

/*
 * THE arithmetic: one step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for the elements at the addresses
 * given: four neighbours where T is v128, one where it is f32. AMSGrad as in Reddi et al. 2018, with PyTorch's max over v, not v̂.
 *
 * Four functions, called in this order. They are apart because sweep.ts begins with the next elements before it has finished these.
 * The order of operations is promised to users; test/reference.ts states it a second time.
 */

/** g as the moments see it. */
// @ts-expect-error: decorator
@inline
export function gradient<T>(
  decoupled: bool,
  use: GradientUse,
  grads: Format,
  param: usize,
  grad: usize,
  last: bool,
  decay: v128,
  gradFactor: v128,
  bias: v128,
  gap: v128,
  scale: v128,
  sign: v128,
): v128 {
  let g = read<T>(grads, grad, last, bias, gap, scale, sign);
  if (use !== GradientUse.Plain) g = mul(g, gradFactor);
  return decoupled ? g : mulAdd(decay, load<T>(param, last ? 16 : 0), g);
}

/** m of this step, stored if it is float32. */
// @ts-expect-error: decorator
@inline
export function firstMoment<T>(
  moments: Format,
  g: v128,
  expAvg: usize,
  last: bool,
  beta1: v128,
  oneMinusBeta1: v128,
): v128 {
  const m = mulAdd(readMoment<T>(moments, expAvg, last), beta1, mul(g, oneMinusBeta1));
  if (moments === Format.Float32) store<T>(expAvg, m, last ? 16 : 0);
  return m;
}

/** v of this step, stored if it is float32. */
// @ts-expect-error: decorator
@inline
export function secondMoment<T>(
  moments: Format,
  g: v128,
  expAvgSq: usize,
  last: bool,
  beta2: v128,
  oneMinusBeta2: v128,
): v128 {
  const v = mulAdd(readMoment<T>(moments, expAvgSq, last), beta2, mul(mul(oneMinusBeta2, g), g));
  if (moments === Format.Float32) store<T>(expAvgSq, v, last ? 16 : 0);
  return v;
}

/** What the denominator is made of: v, with AMSGrad the largest so far, stored if it is float32. */
// @ts-expect-error: decorator
@inline
export function largest<T>(amsgrad: bool, moments: Format, v: v128, maxExpAvgSq: usize, last: bool): v128 {
  if (!amsgrad) return v;
  const vMax = max(readMoment<T>(moments, maxExpAvgSq, last), v);
  if (moments === Format.Float32) store<T>(maxExpAvgSq, vMax, last ? 16 : 0);
  return vMax;
}

/** Moves the parameter. */
// @ts-expect-error: decorator
@inline
export function descend<T>(
  decoupled: bool,
  m: v128,
  root: v128,
  param: usize,
  stepSize: v128,
  rsqrtBiasCorrection2: v128,
  eps: v128,
  decay: v128,
): void {
  const p = load<T>(param);
  const denom = mulAdd(root, rsqrtBiasCorrection2, eps);
  store<T>(param, sub(decoupled ? mul(p, decay) : p, div(mul(stepSize, m), denom)));
}
