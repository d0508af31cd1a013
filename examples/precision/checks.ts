import { difference, final, type Run } from "./analysis.js";
import { BASELINE, CONTROL } from "./contenders.js";
import { type Moment, reached } from "./standstill.js";
import { EQUALS, TASK_NAMES } from "./study.js";

/** What the figures must show for the conclusions to hold: a sentence for each that does not. */
export function contradictions(runs: readonly Run[], moments: readonly Moment[]): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, sentence: string) => {
    // NaN compares as false, so it is always found.
    if (!holds) found.push(sentence);
  };
  for (const task of TASK_NAMES) {
    for (const loss of ["train", "heldOut"] as const) {
      const { mean, deviation } = final(runs, task, BASELINE, loss);
      for (const contender of EQUALS) {
        const off = final(runs, task, contender, loss).mean - mean;
        expect(
          Math.abs(off) <= deviation,
          `${task}, ${loss}: ${contender} is off by ${off}, expected at most the seeds' deviation ${deviation}`,
        );
      }
    }
    const { deviation } = final(runs, task, BASELINE, "train");
    const worse = difference(runs, task, CONTROL, "train").mean;
    expect(worse > deviation, `${task}: ${CONTROL} is worse by ${worse}, expected more than ${deviation}`);
  }
  const expected = reached(moments, BASELINE);
  for (const [i, v] of reached(moments, "bfloat16 moments").entries()) {
    expect(Math.abs(v / expected[i]! - 1) < 0.01, `bfloat16 moments: v is ${v}, expected ${expected[i]} ± 1 %`);
  }
  const [first, last] = reached(moments, CONTROL);
  expect(
    Math.abs(first! / expected[0]! - 1) > 0.2,
    `${CONTROL}: v is ${first}, expected more than 20 % off ${expected[0]}`,
  );
  expect(last! > 10 * expected[1]!, `${CONTROL}: v is ${last}, expected more than ten times ${expected[1]}`);
  return found;
}
