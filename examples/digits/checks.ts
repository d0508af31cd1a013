import { differenceOf } from "../shared/width.js";
import type { DecayColumn, DecayTable } from "./decayTable.js";
import type { TrainedRun } from "./train.js";

/** Checks the demo's conclusions against its numbers. Returns a sentence for each that does not hold. */
export function contradictions(
  runs: readonly TrainedRun[],
  adamW: TrainedRun,
  { bins, columns }: DecayTable,
): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, sentence: string) => {
    // NaN compares as false, so it is always found.
    if (!holds) found.push(sentence);
  };

  for (const { rule, losses } of runs) {
    const [first, last] = [losses[0]!, losses.at(-1)!];
    expect(last < first / 2, `${rule.label}: the training loss did not halve (${first} to ${last})`);
  }
  const { accuracy } = adamW.evaluations.at(-1)!;
  expect(accuracy >= 0.9, `AdamW: held-out accuracy is ${accuracy}, expected at least 0.9`);

  const expectAsAsked = ({ label, received }: DecayColumn, tolerance: number) => {
    for (const [bin, { low, high }] of received.entries()) {
      const holds = low >= 1 - tolerance && high <= 1 + tolerance;
      expect(holds, `${label}: bin ${bin} was decayed ${low} to ${high} times as asked, expected 1 ± ${tolerance}`);
    }
  };
  expectAsAsked(columns.sgdL2, 1e-6);
  expectAsAsked(columns.sgdDecay, 1e-6);
  expectAsAsked(columns.adamW, 0.01);

  for (const { label, lambda, received } of [columns.adamL2, columns.adamL2Scaled]) {
    const smallGradients = received[0]!.median;
    const largeGradients = received[bins.length - 2]!.median;
    expect(
      smallGradients > 2 * largeGradients,
      `${label}, λ = ${lambda}: small gradients ${smallGradients}, large gradients ${largeGradients}: expected a clear difference`,
    );
  }
  return found;
}

/** The mean difference of two training curves that lie on each other: less than a pixel in a chart of their losses. */
const APART = 0.002;

/** A sentence for each pair of runs whose training curves do not lie on each other. */
export function differences(pairs: readonly (readonly [TrainedRun, TrainedRun])[]): string[] {
  return pairs.flatMap(([one, other]) => {
    const { mean } = differenceOf(one.losses, other.losses);
    if (mean <= APART) return [];
    return [`${one.rule.label}: ${other.width} is ${mean} from ${one.width} on average, expected at most ${APART}`];
  });
}
