import { div, load, max, mul, mulAdd, splat, sqrt, store, sub } from "./lane";

export const L2 = false;
export const DECOUPLED = true;

/** What happens to a gradient: used as it is, multiplied by `gradFactor`, or multiplied and set to zero afterwards. */
export const enum Grad {
  Plain,
  Scaled,
  Zeroing,
}

/*
 * THE arithmetic: one step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for the four elements, or the
 * one, at the addresses given. AMSGrad as in Reddi et al. 2018 with PyTorch's max over v, not v̂. In four parts, called in
 * this order, because sweep.ts starts the next elements before it finishes these.
 * The order of operations is the package's promise; test/reference.ts states it a second time.
 */

/** g as the moments see it. */
// @ts-ignore: decorator
@inline
export function gradient<T>(decoupled: bool, gradMode: Grad, param: usize, grad: usize, decay: v128, gradFactor: v128): v128 {
  let g = load<T>(grad);
  if (gradMode != Grad.Plain) g = mul(g, gradFactor);
  if (gradMode == Grad.Zeroing) store<T>(grad, splat(0));
  return decoupled ? g : mulAdd(decay, load<T>(param), g);
}

/** Updates v; √v, or with AMSGrad √(max v so far). */
// @ts-ignore: decorator
@inline
export function secondMoment<T>(amsgrad: bool, g: v128, expAvgSq: usize, maxExpAvgSq: usize, beta2: v128, oneMinusBeta2: v128): v128 {
  let v = mulAdd(load<T>(expAvgSq), beta2, mul(mul(oneMinusBeta2, g), g));
  store<T>(expAvgSq, v);
  if (amsgrad) {
    v = max(load<T>(maxExpAvgSq), v);
    store<T>(maxExpAvgSq, v);
  }
  return sqrt(v);
}

/** Updates m; m. */
// @ts-ignore: decorator
@inline
export function firstMoment<T>(g: v128, expAvg: usize, beta1: v128, oneMinusBeta1: v128): v128 {
  const m = mulAdd(load<T>(expAvg), beta1, mul(g, oneMinusBeta1));
  store<T>(expAvg, m);
  return m;
}

/** Moves the parameter. */
// @ts-ignore: decorator
@inline
export function descend<T>(
  decoupled: bool, m: v128, root: v128, param: usize,
  stepSize: v128, rsqrtBiasCorrection2: v128, eps: v128, decay: v128,
): void {
  const p = load<T>(param);
  const denom = mulAdd(root, rsqrtBiasCorrection2, eps);
  store<T>(param, sub(decoupled ? mul(p, decay) : p, div(mul(stepSize, m), denom)));
}
