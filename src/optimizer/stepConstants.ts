import type { Hyper } from "../checks/defaults.js";
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
 */
export function stepConstants(
  out: Float32Array,
  hyper: Hyper,
  coupled: boolean,
  lr: number,
  step: number,
  gradFactor: number,
): void {
  // Not by destructuring, which asks for an iterator: 5 ns of a step that takes 100.
  const beta1 = hyper.betas[0];
  const beta2 = hyper.betas[1];
  out[0] = beta1;
  out[1] = 1 - beta1;
  out[2] = beta2;
  out[3] = 1 - beta2;
  out[4] = lr / biasCorrection(beta1, step, hyper.biasCorrection);
  out[5] = 1 / Math.sqrt(biasCorrection(beta2, step, hyper.biasCorrection));
  out[6] = hyper.eps;
  out[7] = coupled ? hyper.weightDecay : 1 - lr * hyper.weightDecay;
  out[8] = gradFactor;
}

/** Whether an update of zeros leaves +0, so that a kernel may run over padding: no 0/0, no 0·∞, no decay that turns signs. */
export function keepsZeros(constants: Float32Array): boolean {
  const stepSize = constants[4];
  const eps = constants[6]!;
  const decay = constants[7]!;
  const gradFactor = constants[8];
  return (
    eps > 0 &&
    decay >= 0 &&
    eps < Infinity &&
    decay < Infinity &&
    Number.isFinite(stepSize) &&
    Number.isFinite(gradFactor)
  );
}
