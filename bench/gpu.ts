import { build } from "esbuild";
import { launch, noChromium } from "../test/support/chromium.js";
import { root } from "../test/support/root.js";
import { pageOf, serve } from "../test/support/site.js";
import type { Effort } from "./effort.js";
import type { Samples } from "./measure.js";
import { formatRatio, median, ratio } from "./measure.js";
import type { Report } from "./report.js";

const THEIRS = "tf.train.adam";
const OURS = "fused-adam/tfjs";
const COPY = `${OURS}, copying`;

/** Milliseconds by contender, one a round: of the call, which is what the main thread spends, and until the device is done. */
type Times = Record<string, { readonly main: number[]; readonly whole: number[] }>;

/** Shapes of the variables of what is trained. */
const MODELS: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "MLP 784-256-256-10": [[784, 256], [256], [256, 256], [256], [256, 10], [10]],
  "transformer, 2 blocks of width 64": [
    [64, 64],
    ...[0, 1].flatMap(() => [[64, 192], [192], [64, 64], [64], [64], [64], [64, 256], [256], [256, 64], [64], [64]]),
  ],
  "200 of 64": Array.from({ length: 200 }, () => [64]),
};

/** What the calls of a step take, and the whole step, at most, of what tf.train.adam's take. */
const GOALS: Readonly<Record<string, { readonly main: number; readonly whole: number }>> = {
  webgl: { main: 1 / 2, whole: 2 / 3 },
  webgpu: { main: 1 / 4, whole: 1 / 4 },
};

const PAGE = `
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { adam } from "fused-adam/tfjs";
console.warn = () => {};
globalThis.time = async (backend, shapes, rounds) => {
  await tf.setBackend(backend);
  const make = {
    "${THEIRS}": () => tf.train.adam(1e-3, 0.9, 0.999, 1e-7),
    "${OURS}": () => adam(tf, { eps: 1e-7 }),
    ...(backend === "webgl" && { "${COPY}": () => adam(tf, { eps: 1e-7, gpu: "copy" }) }),
  };
  const sets = [];
  for (const [name, optimizer] of Object.entries(make).map(([name, make]) => [name, make()])) {
    const variables = shapes.map((shape, i) => tf.tidy(() => tf.variable(tf.randomNormal(shape, 0, 0.1, "float32", i + 1))));
    sets.push({ name, optimizer, variables, gradients: [], main: [], whole: [] });
  }
  // New ones for each step: what was read once, tfjs does not read again.
  const prepare = async (set) => {
    tf.dispose(set.gradients.map(({ tensor }) => tensor));
    set.gradients = set.variables.map((variable) => ({ name: variable.name, tensor: tf.mul(variable, 0.01) }));
    await tf.add(set.gradients.at(-1).tensor, 0).data();
  };
  const idle = ({ variables }) => variables.at(-1).data();
  const step = (set) => set.optimizer.applyGradients(set.gradients);
  for (const set of sets) for (let i = 0; i < 3; i++) { await prepare(set); step(set); await idle(set); }
  // Before anything is timed, both have made the same of the same.
  const [theirs, ours] = await Promise.all(sets.slice(0, 2).map(({ variables }) =>
    Promise.all(variables.map((variable) => variable.data()))));
  const apart = theirs.reduce((worst, values, i) =>
    values.reduce((worst, value, j) => Math.max(worst, Math.abs(value - ours[i][j])), worst), 0);
  if (!(apart < 1e-6)) throw new Error(backend + ": results are " + apart + " apart");
  for (let round = 0; round < rounds; round++) {
    for (const set of sets.map((_, i) => sets[(i + round) % sets.length])) {
      await prepare(set);
      const start = performance.now();
      step(set);
      set.main.push(performance.now() - start);
      await idle(set);
      set.whole.push(performance.now() - start);
    }
  }
  for (const { optimizer, variables, gradients } of sets) {
    optimizer.dispose();
    tf.dispose([variables, gradients.map(({ tensor }) => tensor)]);
  }
  return Object.fromEntries(sets.map(({ name, main, whole }) => [name, { main, whole }]));
};
`;

/** Steps on the GPU backends of TensorFlow.js, in Chromium on a device in software. */
export async function gpuSteps(report: Report, effort: Effort): Promise<void> {
  if (noChromium !== undefined) {
    report.status("gpu", noChromium);
    return;
  }
  const stdin = { contents: PAGE, resolveDir: root };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false, logLevel: "error" });
  const script = outputFiles[0]!.text;
  const site = await serve((path) => ({ body: path === "/page.js" ? script : pageOf("/page.js") }));
  const browser = await launch({ gpu: true });
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction("globalThis.time");
    for (const backend of Object.keys(GOALS)) {
      for (const [title, shapes] of Object.entries(MODELS)) {
        const { rounds } = effort.plan(lengthOf(shapes));
        const call = `time(${JSON.stringify(backend)}, ${JSON.stringify(shapes)}, ${rounds})`;
        tell(report, backend, title, shapes, (await page.evaluate(call)) as Times);
      }
    }
  } finally {
    await browser.close();
    site.close();
  }
}

function lengthOf(shapes: readonly (readonly number[])[]): number {
  return shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

function tell(
  report: Report,
  backend: string,
  title: string,
  shapes: readonly (readonly number[])[],
  times: Times,
): void {
  const length = lengthOf(shapes);
  for (const part of ["main", "whole"] as const) {
    const samples: Samples = new Map(Object.entries(times).map(([name, time]) => [name, time[part]]));
    const what = part === "main" ? "the call" : "until the device is done";
    report.row(`tfjs ${backend}, software device, ${title}, ${what}`, length, {
      variables: shapes.length,
      ...Object.fromEntries([...samples].map(([name, values]) => [`${name}, ms`, median(values)])),
      [`${OURS} / ${THEIRS}`]: formatRatio(samples, OURS, THEIRS),
    });
    const share = ratio(samples, OURS, THEIRS).median;
    const most = GOALS[backend]![part];
    const goal = `tfjs ${backend}, ${title}, ${what}: at most ${most.toFixed(2)} of ${THEIRS}'s`;
    report.goal(goal, share <= most, share.toFixed(2));
  }
}
