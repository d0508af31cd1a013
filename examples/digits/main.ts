import { mkdirSync, writeFileSync } from "node:fs";
import { Adam, AdamW } from "fused-adam";
import { loadDigits } from "../shared/digits.js";
import { createProgress } from "../shared/progress.js";
import type { Rule } from "../shared/run.js";
import { EPOCHS, HELD_OUT_SIZE, SEED, TRAIN_SIZE, WEIGHT_DECAY } from "../shared/task.js";
import type { Width } from "../shared/width.js";
import { lossChart } from "./chart.js";
import { contradictions, differences } from "./checks.js";
import { type DecayColumn, measureDecay, recordGradients } from "./decayTable.js";
import { readOptions } from "./options.js";
import { comparisonReport, decayReport, percent, short, trainingReport } from "./report.js";
import { type TrainedRun, train } from "./train.js";

const RECORDED_STEPS = 200;
const BINS = 5;

const { width, compare } = readOptions(process.argv.slice(2));
const started = performance.now();
const split = loadDigits(TRAIN_SIZE, HELD_OUT_SIZE, SEED);
console.log(`MNIST digits: ${split.train.size} to train on, ${split.heldOut.size} held out`);

console.log(`
1. One λ = ${WEIGHT_DECAY}, asked of every weight of the first layer: how much decay does each receive?
   ${RECORDED_STEPS} steps of recorded gradients, replayed with and without decay. 1.00 is as asked. Median of each bin.
`);
const stream = await recordGradients(split.train, RECORDED_STEPS, SEED);
const table = await measureDecay(stream, WEIGHT_DECAY, BINS);
console.log(decayReport(table));

const { adamL2, adamL2Scaled, adamW } = table.columns;
const small = 0;
const large = BINS - 1;
const times = ({ received }: DecayColumn, bin: number) => `${short(received[bin]!.median, 3)} times`;
console.log(`
   SGD takes λp as it is, in the gradient or beside it: L2 and decay are the same thing.
   Adam divides the gradient by its own scale, weight by weight, and an L2 term inside it is divided along. So small
   gradients mean much decay (${times(adamL2, small)} as asked) and large gradients less (${times(adamL2, large)}).
   Turning λ down to ${short(adamL2Scaled.lambda)} sets the middle bin right and leaves the ends: ${times(adamL2Scaled, small)} and ${times(adamL2Scaled, large)}.
   Where there is no gradient at all, λ hardly matters: ${times(adamL2, BINS)} and ${times(adamL2Scaled, BINS)}.
   AdamW decays beside the gradient: ${adamW.received.map(({ median }) => median.toFixed(2)).join(", ")}.`);

console.log(`
2. Training 784-64-10 for ${EPOCHS} epochs: same seed, same starting weights, same batches, ${width}
`);
const adamWRule: Rule = { label: `AdamW, λ = ${WEIGHT_DECAY}`, optimizer: AdamW, weightDecay: WEIGHT_DECAY };
const rules: Rule[] = [
  adamWRule,
  { label: `Adam + L2, λ = ${WEIGHT_DECAY}`, optimizer: Adam, weightDecay: WEIGHT_DECAY },
  { label: `Adam + L2, λ = ${short(adamL2Scaled.lambda)}`, optimizer: Adam, weightDecay: adamL2Scaled.lambda },
  { label: "Adam, no decay", optimizer: Adam, weightDecay: 0 },
];
const trainAll = async (width: Width): Promise<TrainedRun[]> => {
  const runs: TrainedRun[] = [];
  for (const rule of rules) {
    const progress = createProgress(`  ${rule.label.padEnd(22)}`);
    const run = await train(rule, width, split, SEED, ({ step, steps, loss, evaluation }) =>
      progress(step, steps, () => {
        const heldOut = `held-out ${evaluation.loss.toFixed(3)}, ${percent(evaluation.accuracy)} right`;
        return `step ${String(step).padStart(4)}/${steps}  loss ${loss.toFixed(3)}  ${heldOut}`;
      }),
    );
    runs.push(run);
  }
  return runs;
};
const runs = await trainAll(width);
console.log(`\n${trainingReport(runs)}`);

const out = new URL("out/", import.meta.url);
mkdirSync(out, { recursive: true });
writeFileSync(new URL("loss.svg", out), lossChart("MNIST digits, one model, one seed, four update rules", runs));
console.log("\nLoss curves: examples/digits/out/loss.svg");

const problems = contradictions(runs, runs.find(({ rule }) => rule === adamWRule)!, table);
if (compare) {
  console.log(`
3. The same in float32: how far are the curves from each other?
`);
  const pairs = (await trainAll("float32")).map((float32, i) => [float32, runs[i]!] as const);
  console.log(`\n${comparisonReport(pairs)}`);
  writeFileSync(new URL("width.svg", out), lossChart(`MNIST digits, ${adamWRule.label}, one seed`, pairs[0]!));
  console.log("\nLoss curves of the first: examples/digits/out/width.svg");
  problems.push(...differences(pairs));
}
console.log(`
Total: ${((performance.now() - started) / 1000).toFixed(0)} s`);

if (problems.length > 0) {
  console.error(`\nThe numbers do not show what this demo claims:\n  ${problems.join("\n  ")}`);
  process.exitCode = 1;
}
