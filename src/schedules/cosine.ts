import type { Schedule } from "../checks/types.js";
import { checkCount, checkNonNegative } from "../checks/values.js";
import { cosPi } from "./cosPi.js";
import { checkPeriod, readOptions } from "./options.js";

/** Half a cosine from one rate, at 0, to another, at `end`. */
export function halfCosine(from: number, to: number, at: number, end: number): number {
  return to + (from - to) * 0.5 * (1 + cosPi(at, end));
}

/**
 * Half a cosine from `lr` down to `min`, reached at step `steps` (Loshchilov & Hutter 2017, without restarts).
 *
 * @param options rates, finite and >= 0, and a number of steps
 * @throws TypeError, RangeError naming the option
 */
export function cosine(options: {
  /** The rate of step 0. */
  lr: number;
  /** An integer >= 0; 0 is `min` from the start. */
  steps: number;
  /** The rate it ends at. Default 0. */
  min?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, steps: checkCount, min: checkNonNegative };
  const { lr, steps, min } = readOptions(options, checks, { min: 0 });
  return (step) => (step >= steps ? min : halfCosine(lr, min, step, steps));
}

/**
 * Half cosines from `lr` down towards `min`, one after the other (Loshchilov & Hutter 2017): the first takes `steps` steps, each
 * further one `multiplier` times as many as the one before. PyTorch's CosineAnnealingWarmRestarts: each begins with `lr`, at steps
 * 1, `steps` + 1, …, and its last step is one before the `min` of its curve.
 *
 * @param options rates, finite and >= 0, and whole numbers
 * @throws TypeError, RangeError naming the option
 */
export function cosineWarmRestarts(options: {
  /** The rate of step 1 and of the first step after each restart. */
  lr: number;
  /** Steps until the first restart, an integer >= 1. PyTorch's `T_0`. */
  steps: number;
  /** An integer >= 1. Default 1. PyTorch's `T_mult`. */
  multiplier?: number;
  /** The rate that each half cosine would end at. Default 0. PyTorch's `eta_min`. */
  min?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, steps: checkPeriod, multiplier: checkPeriod, min: checkNonNegative };
  const { lr, steps, multiplier, min } = readOptions(options, checks, { multiplier: 1, min: 0 });
  return (step) => {
    let length = steps;
    let at = multiplier === 1 ? (step - 1) % length : step - 1;
    while (at >= length) {
      at -= length;
      length *= multiplier;
    }
    return halfCosine(lr, min, at, length);
  };
}
