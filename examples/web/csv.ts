import type { Curves } from "./lossChart.js";

/** A line per step, with all digits, so that numbers read back have the same bits. */
export function toCsv({ labels, losses, evaluations }: Curves, stepsPerEpoch: number): string {
  const heldOut = evaluations.map((of) => new Map(of.map(({ epoch, loss }) => [epoch * stepsPerEpoch, loss])));
  const head = ["step", ...labels.map((label) => `${label} training`), ...labels.map((label) => `${label} held out`)];
  const lines = Array.from({ length: losses[0]!.length + 1 }, (_, step) => [
    step,
    ...losses.map((values) => values[step - 1] ?? ""),
    ...heldOut.map((of) => of.get(step) ?? ""),
  ]);
  return [head, ...lines].map((line) => `${line.join(",")}\n`).join("");
}
