import type { StepOptions } from "fused-adam";
import { NORM_BLOCK } from "../src/kernels/table.js";
import { compileSync, kernelsOver } from "../src/kernels/wasm.js";
import { normOf } from "../test/support/norm.js";
import { check } from "./check.js";
import { repeat, startValues } from "./data.js";
import { type Effort, sizeName, sizesFrom } from "./effort.js";
import { alternate, type Contender, formatSpread, ratio } from "./measure.js";
import { addressesOf, createModel, loopStep, type Model } from "./model.js";
import { passesOver } from "./passes.js";
import type { Report } from "./report.js";

export const CLIPPED = "clip + unscale + AdamW + zero";
export const PLAIN = "plain step";
const FUSED = "one call";
const FUSED_2 = "one call, 2 threads";
const PASSES = "separate passes, WebAssembly";
const LOOPS = "separate passes, JavaScript";

/** The gradients are multiplied by this, and their norm is twice the limit. */
const GRAD_SCALE = 1024;
const clipNormOf = (norm: number) => norm / 2;

interface Way {
  readonly name: string;
  readonly model: Model;
  readonly step: () => unknown;
  readonly tolerance: number;
}

const MI = 1 << 20;

/** The step of a training loop, in one call and as separate passes, beside a plain step. */
export async function clippedStep(report: Report, effort: Effort): Promise<void> {
  for (const length of sizesFrom(effort, [64 << 10, MI, 16 * MI])) {
    const ways = waysFor(length);
    const start = startValues(length);
    const refill = (model: Model) => repeat(model.views.grad, start.grad);
    try {
      for (const way of ways) await verify(way, length);
      const contenders = ways.map(({ name, model, step }): Contender => ({ name, step, before: () => refill(model) }));
      report.status(`${CLIPPED}, ${sizeName(length)}:`);
      const samples = await alternate(contenders, effort.plan(length));
      report.timings(CLIPPED, length, samples, PLAIN);
      if (length !== 16 * MI) continue;
      const cost = ratio(samples, FUSED, PLAIN);
      report.goal(`16 Mi: ${CLIPPED} ÷ plain step at most 1.4`, cost.median <= 1.4, formatSpread(cost));
    } finally {
      for (const { model } of ways) model.optimizer.dispose();
      globalThis.gc?.();
    }
  }
}

function waysFor(length: number): Way[] {
  const norm = trueNorm(length);
  const options: StepOptions = { clipNorm: clipNormOf(norm), gradScale: GRAD_SCALE, zeroGrad: true };
  const way = (name: string, tolerance: number, model: Model, step: () => unknown) => ({
    name,
    tolerance,
    model,
    step,
  });
  const [plain, one, passes, loops] = Array.from({ length: 4 }, () => createModel(length)) as [
    Model,
    Model,
    Model,
    Model,
  ];
  const two = createModel(length, { kernel: "simd", threads: 2 });
  return [
    way(PLAIN, 0, plain, () => plain.optimizer.step()),
    way(FUSED, 0, one, () => one.optimizer.step(options)),
    way(FUSED_2, 0, two, () => two.optimizer.step(options)),
    way(PASSES, 0, passes, inPasses(passes, clipNormOf(norm))),
    way(LOOPS, 2 ** -20, loops, inLoops(loops, clipNormOf(norm))),
  ];
}

/** Norm of all gradients, unscaled, summed in the order the package promises. */
function trueNorm(length: number): number {
  const grad = new Float32Array(length);
  repeat(grad, startValues(length).grad);
  return normOf([grad], GRAD_SCALE);
}

/** What `step` does with these options, as separate passes of the package's own kernels. */
function inPasses(model: Model, clipNorm: number): () => void {
  const { optimizer, views } = model;
  const { length } = views.grad;
  const { grad } = addressesOf(model);
  const { sumSquares } = kernelsOver(optimizer.memory, compileSync("simd", false, false), false);
  const { scale } = passesOver(optimizer.memory);
  return () => {
    let sum = 0;
    for (let start = 0; start < length; start += NORM_BLOCK) {
      sum += sumSquares[0]!(grad + 4 * start, Math.min(NORM_BLOCK, length - start));
    }
    scale(grad, factorOf(Math.sqrt(sum) / GRAD_SCALE, clipNorm), length);
    optimizer.step();
    optimizer.zeroGrad();
  };
}

/** The same in plain JavaScript. */
function inLoops({ views }: Model, clipNorm: number): () => void {
  const { grad } = views;
  let step = 0;
  return () => {
    let sum = 0;
    for (let i = 0; i < grad.length; i++) sum += grad[i]! * grad[i]!;
    const factor = factorOf(Math.sqrt(sum) / GRAD_SCALE, clipNorm);
    for (let i = 0; i < grad.length; i++) grad[i] = grad[i]! * factor;
    loopStep(views, ++step);
    grad.fill(0);
  };
}

function factorOf(norm: number, clipNorm: number): number {
  return Math.min(1, clipNorm / norm) / GRAD_SCALE;
}

/** Two steps against the reference, and what is left of the gradients. */
async function verify({ name, model, step, tolerance }: Way, length: number): Promise<void> {
  const { param, grad } = startValues(length);
  repeat(model.views.param, param);
  for (let i = 0; i < 2; i++) {
    repeat(model.views.grad, grad);
    step();
  }
  const plain = name === PLAIN;
  const norm = trueNorm(length);
  const factor = plain ? 1 : factorOf(norm, clipNormOf(norm));
  await check(name, length, (region) => [model.views[region]], { steps: 2, tolerance, factor });
  const left = model.views.grad.findIndex((g, i) => !Object.is(g, plain ? grad[i % grad.length]! : 0));
  if (left >= 0)
    throw new Error(
      `"${name}": expected gradients ${plain ? "as they were" : "of zero"}, got grad[${left}] = ${model.views.grad[left]}`,
    );
}
