import type { Hyper } from "../checks/options.js";
import { oneMinusPower } from "./power.js";

/** How many constants a kernel takes, in the order `stepConstants` writes them and `UpdateKernel` names them. */
export const CONSTANTS = 9;

/** 1 - β^t for t = 1, 2, …; 1 without bias correction. */
export function biasCorrection(beta: number, step: number, enabled: boolean): number {
  return enabled ? oneMinusPower(beta, step) : 1;
}

/**
 * The constants of one step of one parameter, formed in float64 from the step t (already incremented) and narrowed to
 * float32 once, by storing them. Nothing is carried over from the step before.
 *
 * @param out gets `CONSTANTS` values
 * @param coupled L2: `decay` is λ itself; otherwise it is 1 − lr·λ
 * @param gradFactor clip / gradScale, negated to ascend
 * @param at index of the first in `out`
 */
export function stepConstants(
  out: Float32Array,
  hyper: Hyper,
  coupled: boolean,
  lr: number,
  step: number,
  gradFactor: number,
  at = 0,
): void {
  const [beta1, beta2] = hyper.betas;
  out[at] = beta1;
  out[at + 1] = 1 - beta1;
  out[at + 2] = beta2;
  out[at + 3] = 1 - beta2;
  out[at + 4] = lr / biasCorrection(beta1, step, hyper.biasCorrection);
  out[at + 5] = 1 / Math.sqrt(biasCorrection(beta2, step, hyper.biasCorrection));
  out[at + 6] = hyper.eps;
  out[at + 7] = coupled ? hyper.weightDecay : 1 - lr * hyper.weightDecay;
  out[at + 8] = gradFactor;
}

/** Whether an update of zeros leaves +0, so that a kernel may run over padding: no 0/0, no 0·∞, no decay that turns signs. */
export function keepsZeros(constants: Float32Array, at = 0): boolean {
  const stepSize = constants[at + 4];
  const eps = constants[at + 6]!;
  const decay = constants[at + 7]!;
  const gradFactor = constants[at + 8];
  return (
    eps > 0 &&
    decay >= 0 &&
    eps < Infinity &&
    decay < Infinity &&
    Number.isFinite(stepSize) &&
    Number.isFinite(gradFactor)
  );
}
