import { fail, failType } from "../checks/errors.js";
import type { Schedule } from "../checks/types.js";
import { checkCount } from "../checks/values.js";

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
