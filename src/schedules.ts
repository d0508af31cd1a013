/**
 * Learning rates as functions of the step t = 1, 2, …: pure, so a resumed run needs nothing but t, and of operations that IEEE 754
 * fixes, so that every engine has the same.
 *
 * @packageDocumentation
 */

import { fail, failType } from "./checks/errors.js";
import type { Schedule } from "./checks/types.js";
import { checkCount, checkNonNegative, checkObject, own } from "./checks/values.js";
import { cosPi } from "./schedules/cosine.js";

export type { Schedule } from "./checks/types.js";

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
  checkObject("options", options, ["from", "to", "steps"]);
  const from = checkNonNegative("from", own(options, "from"));
  const to = checkNonNegative("to", own(options, "to"));
  const steps = checkCount("steps", own(options, "steps"));
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
  checkObject("options", options, ["lr", "steps", "from"]);
  const from = own(options, "from");
  return linear({
    from: from === undefined ? 0 : checkNonNegative("from", from),
    to: checkNonNegative("lr", own(options, "lr")),
    steps: checkCount("steps", own(options, "steps")),
  });
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
  checkObject("options", options, ["lr", "steps", "min"]);
  const lr = checkNonNegative("lr", own(options, "lr"));
  const steps = checkCount("steps", own(options, "steps"));
  const least = own(options, "min");
  const min = least === undefined ? 0 : checkNonNegative("min", least);
  return (step) => (step >= steps ? min : min + (lr - min) * 0.5 * (1 + cosPi(step, steps)));
}

/**
 * Up to `lr` over `warmup` steps, constant for `stable` steps, then in a straight line down to `min` over `decay` steps (Hu et
 * al. 2024, MiniCPM).
 *
 * @param options rates, finite and >= 0, and numbers of steps, integers >= 0
 * @throws TypeError, RangeError naming the option
 */
export function warmupStableDecay(options: {
  /** The rate of the plateau. */
  lr: number;
  /** Steps from 0 to `lr`. */
  warmup: number;
  /** Steps at `lr`. */
  stable: number;
  /** Steps from `lr` to `min`. */
  decay: number;
  /** The rate it ends at. Default 0. */
  min?: number;
}): Schedule {
  checkObject("options", options, ["lr", "warmup", "stable", "decay", "min"]);
  const lr = checkNonNegative("lr", own(options, "lr"));
  const least = own(options, "min");
  const min = least === undefined ? 0 : checkNonNegative("min", least);
  return chain([
    [linearWarmup({ lr, steps: checkCount("warmup", own(options, "warmup")) }), options.warmup],
    [constant(lr), checkCount("stable", own(options, "stable"))],
    [linear({ from: lr, to: min, steps: checkCount("decay", own(options, "decay")) })],
  ]);
}

/**
 * One schedule after another: each `[schedule, steps]` runs for so many steps and sees its own steps 1, 2, …; the last
 * needs no number and runs on.
 *
 * @throws TypeError, RangeError naming the part
 * @example
 * import { chain, cosine, linearWarmup } from "fused-adam/schedules";
 *
 * const lr = chain([
 *   [linearWarmup({ lr: 1e-3, steps: 100 }), 100],
 *   [cosine({ lr: 1e-3, steps: 900 })],
 * ]);
 * console.log(lr(50), lr(100), lr(1000)); // 0.0005 0.001 0
 */
export function chain(parts: readonly (readonly [schedule: Schedule, steps?: number])[]): Schedule {
  if (!Array.isArray(parts)) failType("parts", "an array of [schedule, steps]", parts);
  if (parts.length === 0) fail(RangeError, "ERR_OUT_OF_RANGE", "parts", "at least one [schedule, steps]", "none");
  let start = 0;
  const starts = Array.from(parts as readonly (readonly [Schedule, number?])[], (part, i) => {
    if (!Array.isArray(part)) failType(`parts[${i}]`, "[schedule, steps]", part);
    const [schedule, steps] = part;
    if (typeof schedule !== "function") failType(`parts[${i}][0]`, "a function", schedule);
    const from = start;
    if (i < parts.length - 1) start += checkCount(`parts[${i}][1]`, steps);
    return { schedule: schedule as Schedule, from };
  });
  return (step) => {
    const { schedule, from } = starts.findLast((part) => part.from < step) ?? starts[0]!;
    return schedule(step - from);
  };
}
