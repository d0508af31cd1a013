import type { Schedule } from "../checks/types.js";
import { checkCount, checkNonNegative } from "../checks/values.js";
import { readOptions } from "./options.js";

/**
 * Always `lr`.
 *
 * @throws TypeError, RangeError for a rate that is not finite and >= 0
 */
export function constant(lr: number): Schedule {
  checkNonNegative("lr", lr);
  return () => lr;
}

/**
 * From `from` in a straight line, reaching `to` at step `steps` and staying there.
 *
 * @param options rates, finite and >= 0, and a number of steps
 * @throws TypeError, RangeError naming the option
 */
export function linear(options: {
  /** The rate of step 0, one before the first. */
  from: number;
  /** The rate it reaches. */
  to: number;
  /** An integer >= 0; 0 is `to` from the start. */
  steps: number;
}): Schedule {
  const { from, to, steps } = readOptions(options, {
    from: checkNonNegative,
    to: checkNonNegative,
    steps: checkCount,
  });
  return (step) => (step >= steps ? to : from + (to - from) * (step / steps));
}

/**
 * From `from` up to `lr`, reached at step `steps`, then constant (Goyal et al. 2017).
 *
 * @param options rates, finite and >= 0, and a number of steps
 * @throws TypeError, RangeError naming the option
 */
export function linearWarmup(options: {
  /** The rate it reaches and keeps. */
  lr: number;
  /** An integer >= 0. */
  steps: number;
  /** The rate of step 0. Default 0. */
  from?: number;
}): Schedule {
  const checks = { lr: checkNonNegative, steps: checkCount, from: checkNonNegative };
  const { lr, steps, from } = readOptions(options, checks, { from: 0 });
  return linear({ from, to: lr, steps });
}
