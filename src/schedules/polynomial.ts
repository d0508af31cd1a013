import type { Schedule } from "../checks/types.js";
import { checkNonNegative, checkPositive } from "../checks/values.js";
import { checkPeriod, readOptions } from "./options.js";
import { power } from "./power.js";

/**
 * From `lr` at step 1 down to `min` at step `steps` + 1, as (1 - (t - 1) / steps)^power, then constant: PyTorch's PolynomialLR.
 *
 * @param options rates, finite and >= 0, a number of steps, and an exponent
 * @throws TypeError, RangeError naming the option
 */
export function polynomial(options: {
  /** The rate of step 1. */
  lr: number;
  /** An integer >= 1. PyTorch's `total_iters`. */
  steps: number;
  /** Finite and > 0, also between whole numbers. Default 1, a straight line. */
  power?: number;
  /** The rate it ends at. Default 0, as in PyTorch, which has no other. */
  min?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, steps: checkPeriod, power: checkPositive, min: checkNonNegative };
  const { lr, steps, power: exponent, min } = readOptions(options, checks, { power: 1, min: 0 });
  return (step) => {
    const left = steps - (step - 1);
    return left <= 0 ? min : min + (lr - min) * power(left / steps, exponent);
  };
}
