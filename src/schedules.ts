import { fail, failType } from "./errors.js";
import { checkCount, checkNonNegative, checkObject, own } from "./options.js";
import type { Schedule } from "./types.js";

export type { Schedule } from "./types.js";

/*
 * Learning rates as functions of the step t = 1, 2, …: pure, so a resumed run needs nothing but t. The ones that use
 * Math.cos may differ between engines in the last bit of a float64, which a float32 step all but never sees.
 */

/** Always `lr`. */
export function constant(lr: number): Schedule {
  checkNonNegative("lr", lr);
  return () => lr;
}

/** From `from` in a straight line, reaching `to` at step `steps` and staying there. */
export function linear(options: { from: number; to: number; steps: number }): Schedule {
  checkObject("options", options, ["from", "to", "steps"]);
  const from = checkNonNegative("from", own(options, "from"));
  const to = checkNonNegative("to", own(options, "to"));
  const steps = checkCount("steps", own(options, "steps"));
  return (step) => (step >= steps ? to : from + (to - from) * (step / steps));
}

/** From `from` (default 0) up to `lr`, reached at step `steps`, then constant (Goyal et al. 2017). */
export function linearWarmup(options: { lr: number; steps: number; from?: number }): Schedule {
  checkObject("options", options, ["lr", "steps", "from"]);
  const from = own(options, "from");
  return linear({
    from: from === undefined ? 0 : checkNonNegative("from", from),
    to: checkNonNegative("lr", own(options, "lr")),
    steps: checkCount("steps", own(options, "steps")),
  });
}

/** Half a cosine from `lr` down to `min` (default 0), reached at step `steps` (Loshchilov & Hutter 2017, without restarts). */
export function cosine(options: { lr: number; steps: number; min?: number }): Schedule {
  checkObject("options", options, ["lr", "steps", "min"]);
  const lr = checkNonNegative("lr", own(options, "lr"));
  const steps = checkCount("steps", own(options, "steps"));
  const least = own(options, "min");
  const min = least === undefined ? 0 : checkNonNegative("min", least);
  return (step) => (step >= steps ? min : min + (lr - min) * 0.5 * (1 + Math.cos((Math.PI * step) / steps)));
}

/**
 * Up to `lr` over `warmup` steps, constant for `stable` steps, then in a straight line down to `min` (default 0) over
 * `decay` steps (Hu et al. 2024, MiniCPM).
 */
export function warmupStableDecay(options: {
  lr: number;
  warmup: number;
  stable: number;
  decay: number;
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
