import type { Hyper } from "../checks/defaults.js";
import * as CONSTANT from "../generated/constants.js";

/**
 * 1 − β^t for t = 1, 2, …; 1 without bias correction.
 *
 * Exponentiation by squaring, but of 1 − β^n in place of β^n: with a = 1 − β^i and b = 1 − β^j, 1 − β^(i+j) = a + b − ab. No two nearly
 * equal numbers are subtracted, so that all but the last three bits are right, also for β close to 1 (test/optimizer/float64.test.ts
 * has the bound). IEEE 754 fixes every operation. `Math.pow` it does not fix: engines differ in the last bit, and bias corrections
 * made of it would now and then differ in float32.
 */
export function biasCorrection(beta: number, step: number, enabled: boolean): number {
  if (!enabled) return 1;
  /** 1 − β^(2^k), for bit k of the step. */
  let square = 1 - beta;
  // β^t is below e^-40, so 1 is the nearest float64.
  if (step * square > 40) return 1;
  let result = 0;
  for (let rest = step; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result += square - result * square;
    square *= 2 - square;
  }
  return result;
}

/**
 * The constants of one step of one parameter, formed in float64 from the step t (already incremented) and narrowed to
 * float32 once, by storing them. Nothing is carried over from the step before.
 *
 * @param out gets one value for each of `CONSTANTS`
 * @param coupled L2: `decay` is λ itself; otherwise it is 1 − lr·λ
 * @param gradFactor clip / gradScale, negated to ascend
 */
export function stepConstants(
  out: Float32Array,
  hyper: Pick<Hyper, "betas" | "eps" | "biasCorrection">,
  coupled: boolean,
  lr: number,
  weightDecay: number,
  step: number,
  gradFactor: number,
): void {
  // Not by destructuring, which asks for an iterator: 5 ns of a step that takes 100.
  const beta1 = hyper.betas[0];
  const beta2 = hyper.betas[1];
  out[CONSTANT.beta1] = beta1;
  out[CONSTANT.oneMinusBeta1] = 1 - beta1;
  out[CONSTANT.beta2] = beta2;
  out[CONSTANT.oneMinusBeta2] = 1 - beta2;
  out[CONSTANT.stepSize] = lr / biasCorrection(beta1, step, hyper.biasCorrection);
  out[CONSTANT.rsqrtBiasCorrection2] = 1 / Math.sqrt(biasCorrection(beta2, step, hyper.biasCorrection));
  out[CONSTANT.eps] = hyper.eps;
  out[CONSTANT.decay] = coupled ? weightDecay : 1 - lr * weightDecay;
  out[CONSTANT.gradFactor] = gradFactor;
}

/** Whether an update of zeros leaves +0, so that a kernel may run over padding: no 0/0, no 0·∞, no decay that turns signs. */
export function keepsZeros(constants: Float32Array): boolean {
  const eps = constants[CONSTANT.eps]!;
  const decay = constants[CONSTANT.decay]!;
  return (
    eps > 0 &&
    decay >= 0 &&
    eps < Infinity &&
    decay < Infinity &&
    Number.isFinite(constants[CONSTANT.stepSize]) &&
    Number.isFinite(constants[CONSTANT.gradFactor])
  );
}
