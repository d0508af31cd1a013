/** The demo in each width of moments and gradients: its options, and that it trains with what they say. */
import { AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { readOptions } from "../../examples/digits/options.js";
import { comparisonReport } from "../../examples/digits/report.js";
import { loadDigits } from "../../examples/shared/digits.js";
import { initialValues, lossAndGradients } from "../../examples/shared/model.js";
import { createRng, permutation } from "../../examples/shared/rng.js";
import { batchesOf, Run } from "../../examples/shared/run.js";
import { differenceOf, WIDTHS, type Width } from "../../examples/shared/width.js";
import { rounded } from "../support/halves.js";
import { Model } from "../support/model.js";

const SEED = 3;
const STEPS = 20;
const split = loadDigits(320, 10, SEED);
const rule = { label: "AdamW", optimizer: AdamW, weightDecay: 0.1 };
const widths = Object.keys(WIDTHS) as Width[];

async function lossesOf(width: Width): Promise<number[]> {
  const run = await Run.create(rule, split, { epochs: 2, seed: SEED, lr: 4e-3, ...WIDTHS[width] });
  while (!run.finished) run.step();
  run.dispose();
  return run.losses;
}

/** As the demo trains, but by the reference; the gradients of float16 times 1,024. */
function referenceLosses(width: Width): number[] {
  const { moments, grads: format } = WIDTHS[width];
  const rng = createRng(SEED);
  const { w1, b1, w2, b2 } = initialValues(rng);
  const lr = (step: number) => 4e-3 * (1 - (step - 1) / STEPS);
  const model = new Model("adamw", {}, { lr, moments });
  model.add({ w1, w2 }, { weightDecay: 0.1 }).add({ b1, b2 }, { weightDecay: 0 });
  const tensors = (part: "param" | "grad") => ({
    w1: model.at("w1")[part],
    b1: model.at("b1")[part],
    w2: model.at("w2")[part],
    b2: model.at("b2")[part],
  });
  const gradScale = format === "float16" ? 1024 : 1;
  const losses: number[] = [];
  let [mean, weight] = [0, 0];
  for (let epoch = 0; epoch < 2; epoch++) {
    for (const batch of batchesOf(320, permutation(320, rng))) {
      const loss = lossAndGradients(tensors("param"), tensors("grad"), split.train, batch);
      mean = 0.98 * mean + (1 - 0.98) * loss;
      weight = 0.98 * weight + (1 - 0.98) * 1;
      losses.push(mean / weight);
      for (const grad of Object.values(tensors("grad"))) {
        if (format === "float32") continue;
        const scaled = grad.map((g) => g * gradScale);
        grad.set(rounded(format, scaled));
      }
      model.step({ gradScale, zeroGrad: true });
    }
  }
  return losses;
}

describe.each(widths)("%s", (width) => {
  it(`${STEPS} steps: the losses are those of the reference, bit for bit`, async () => {
    expect(await lossesOf(width)).toEqual(referenceLosses(width));
  });

  it("its options are read", () => {
    const { moments, grads } = WIDTHS[width];
    const args = ["--moments", moments, `--grads=${grads}`];
    expect(readOptions(args)).toEqual({ width, compare: false });
    const compared = () => readOptions([...args, "--compare"]);
    if (width === "float32") expect(compared).toThrow('"--compare": expected --moments or --grads of 16 bits');
    else expect(compared()).toEqual({ width, compare: true });
  });
});

it("without options the demo is in float32; what is no option, and no format, is refused", () => {
  expect(readOptions([])).toEqual({ width: "float32", compare: false });
  expect(() => readOptions(["--moments", "float16"])).toThrow(/"moments": expected .*bfloat16, got .*float16/);
  expect(() => readOptions(["--grads", "half"])).toThrow(/"grads": expected .*, got .*half/);
  expect(() => readOptions(["--width", "bfloat16"])).toThrow(TypeError);
});

it("a comparison has the mean of all differences, the largest, and where it is", () => {
  const [one, other] = [
    [1, 2, 3, 4],
    [1, 2.5, 2.25, 4.25],
  ];
  expect(differenceOf(one!, other!)).toEqual({ mean: 0.375, largest: 0.75, step: 3 });
  const runOf = (width: Width, losses: number[]) => ({
    ...{ rule, width, losses, evaluations: [], parameters: 1, seconds: 1, stepSeconds: 1 },
  });
  const lines = comparisonReport([[runOf("float32", one!), runOf("bfloat16 moments", other!)]]).split("\n");
  expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["training loss", "float32", "bfloat16 moments", "mean difference", "largest"],
    ["AdamW", "4.00000", "4.25000", "0.37500", "0.75000 (step 3)"],
  ]);
});
