import { add, div, load, max, mul, mulAdd, splat, sqrt, store, sub } from "./lane";

export const L2 = false;
export const DECOUPLED = true;

/** What happens to a gradient: used as it is, multiplied by `gradFactor`, or multiplied and set to zero afterwards. */
export const enum Grad {
  Plain,
  Scaled,
  Zeroing,
}

/**
 * THE arithmetic: one step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for the four elements, or the
 * one, at `offset`. AMSGrad as in Reddi et al. 2018 with PyTorch's max over v, not v̂.
 * The order of operations is the package's promise; test/reference.ts states it a second time.
 */
// @ts-ignore: decorator
@inline
export function update<T>(
  decoupled: bool, amsgrad: bool, gradMode: Grad, offset: usize,
  param: usize, grad: usize, expAvg: usize, expAvgSq: usize, maxExpAvgSq: usize,
  beta1: v128, oneMinusBeta1: v128, beta2: v128, oneMinusBeta2: v128,
  stepSize: v128, rsqrtBiasCorrection2: v128, eps: v128, decay: v128, gradFactor: v128,
): void {
  let p = load<T>(param, offset);
  let g = load<T>(grad, offset);
  if (gradMode != Grad.Plain) g = mul(g, gradFactor);
  if (decoupled) p = mul(p, decay);
  else g = mulAdd(decay, p, g);

  const m = mulAdd(load<T>(expAvg, offset), beta1, mul(g, oneMinusBeta1));
  let v = mulAdd(load<T>(expAvgSq, offset), beta2, mul(mul(oneMinusBeta2, g), g));
  store<T>(expAvg, offset, m);
  store<T>(expAvgSq, offset, v);
  if (amsgrad) {
    v = max(load<T>(maxExpAvgSq, offset), v);
    store<T>(maxExpAvgSq, offset, v);
  }

  const denom = mulAdd(sqrt(v), rsqrtBiasCorrection2, eps);
  store<T>(param, offset, sub(p, div(mul(stepSize, m), denom)));
  if (gradMode == Grad.Zeroing) store<T>(grad, offset, splat(0));
}
