import { compare, type Outcomes, oneForAll, slopeOf } from "./analysis.js";
import type { Study } from "./study.js";

/** What the figures must show for the demo's conclusions to hold: a sentence for each that does not. */
export function contradictions(studies: readonly Study[], outcomes: Outcomes): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, sentence: string) => {
    // NaN compares as false, so it is always found.
    if (!holds) found.push(sentence);
  };
  for (const study of studies) {
    if (study.task === "addition") {
      const [ours, theirs] = [slopeOf(study, outcomes, "AdamW").slope, slopeOf(study, outcomes, "Adam + L2").slope];
      expect(Math.abs(ours) < 0.3, `AdamW: the best decay changes by 10^${ours} with ten times the rate`);
      expect(
        theirs < -0.8 && theirs > -1.3,
        `Adam + L2: the best decay changes by 10^${theirs} with ten times the rate`,
      );
      const gain = oneForAll(study, outcomes, "AdamW").accuracy - oneForAll(study, outcomes, "Adam + L2").accuracy;
      expect(gain > 0.04, `one decay for all rates: AdamW's accuracy is ${gain} higher, expected more than 0.04`);
    }
    if (study.task === "spam, counts") {
      const { mean, error } = compare(study, outcomes, "loss").difference;
      expect(mean < -2 * error, `${study.task}: AdamW's loss is lower by ${-mean} ± ${error}, expected two errors`);
    }
    const { mean, error } = compare(study, outcomes, "accuracy").difference;
    expect(Math.abs(mean) < 0.02, `${study.task}: accuracies differ by ${mean}, expected less than 0.02`);
    expect(
      mean < 2 * error,
      `${study.task}: AdamW's accuracy is higher by ${mean} ± ${error}, expected no such difference`,
    );
  }
  return found;
}
