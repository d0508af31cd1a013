import { differenceOf } from "../shared/width.js";
import type { DecayColumn, DecayTable } from "./decayTable.js";
import type { TrainedRun } from "./train.js";

/** λ and loss in two or three digits, whatever their size. */
export const short = (value: number, digits = 2): string => String(Number(value.toPrecision(digits)));

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function trainingReport(runs: readonly TrainedRun[]): string {
  const rows = runs.map((run) => {
    const last = run.evaluations.at(-1)!;
    const nanoseconds = (run.stepSeconds * 1e9) / (run.losses.length * run.parameters);
    return [
      run.rule.label,
      `${run.losses[0]!.toFixed(3)} → ${run.losses.at(-1)!.toFixed(3)}`,
      `${run.evaluations[0]!.loss.toFixed(3)} → ${last.loss.toFixed(3)}`,
      percent(last.accuracy),
      `${run.seconds.toFixed(1)} s`,
      percent(run.stepSeconds / run.seconds),
      nanoseconds.toFixed(2),
    ];
  });
  const header = ["", "training loss", "held-out loss", "accuracy", "time", "in step()", "ns/parameter"];
  return alignColumns([header, ...rows]);
}

/** Of each pair: the training losses after the last step side by side, and how far the curves are from each other. */
export function comparisonReport(pairs: readonly (readonly [TrainedRun, TrainedRun])[]): string {
  const rows = pairs.map((pair) => {
    const [one, other] = pair;
    const { mean, largest, step } = differenceOf(one.losses, other.losses);
    const ends = pair.map(({ losses }) => losses.at(-1)!.toFixed(5));
    return [one.rule.label, ...ends, mean.toFixed(5), `${largest.toFixed(5)} (step ${step})`];
  });
  const widths = pairs[0]!.map(({ width }) => width);
  return alignColumns([["training loss", ...widths, "mean difference", "largest"], ...rows]);
}

export function decayReport({ bins, columns }: DecayTable): string {
  const shown = Object.values(columns);
  const cell = (column: DecayColumn, bin: number) => column.received[bin]!.median.toFixed(2);
  const rows = bins.map(({ smallest, largest, weights }, bin) => [
    largest === 0 ? "always 0" : `${smallest.toExponential(1)} … ${largest.toExponential(1)}`,
    String(weights),
    ...shown.map((column) => cell(column, bin)),
  ]);
  return alignColumns([
    ["RMS gradient", "weights", ...shown.map(({ label }) => label)],
    ["", "", ...shown.map(({ lambda }) => `λ = ${short(lambda)}`)],
    ...rows,
  ]);
}

/** The first column aligned left, the others right. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const pad = (text: string, i: number) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!));
  return rows.map((row) => `  ${row.map(pad).join("   ")}`).join("\n");
}
