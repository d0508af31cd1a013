import type { Adam, AdamW } from "fused-adam";
import type { Split } from "./data.js";
import { evaluate, initialValues, lossAndGradients, SHAPES, type Tensors } from "./model.js";
import { createRng, permutation } from "./rng.js";

/** The weight of the past in the smoothed training loss: a single batch is too noisy to read. */
const SMOOTHING = 0.98;
const BATCH = 32;
const LEARNING_RATE = 4e-3;

/** One of the runs to compare. */
export interface Rule {
  readonly label: string;
  readonly optimizer: typeof Adam | typeof AdamW;
  readonly weightDecay: number;
}

export interface Evaluation {
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
}

export interface Run {
  readonly rule: Rule;
  readonly parameters: number;
  /** The training loss before each step: an exponential mean over the batches so far. */
  readonly losses: readonly number[];
  /** Held-out loss and accuracy before the first epoch and after every one. */
  readonly evaluations: readonly Evaluation[];
  readonly seconds: number;
  /** The part of `seconds` spent in `optimizer.step()`. */
  readonly stepSeconds: number;
}

export interface TrainingOptions {
  readonly epochs: number;
  readonly seed: number;
  /** Called after every batch. */
  readonly report: (progress: { step: number; steps: number; loss: number; evaluation: Evaluation }) => void;
}

/** Starting weights and batches depend on the seed alone, so two rules with one seed differ in nothing but the rule. */
export async function train(rule: Rule, { train: data, heldOut }: Split, options: TrainingOptions): Promise<Run> {
  const { epochs, seed, report } = options;
  const rng = createRng(seed);
  const steps = epochs * Math.floor(data.size / BATCH);
  const { optimizer, params, grads } = await createOptimizer(rule, initialValues(rng), linearDecay(steps));
  const parameters = Object.values(params).reduce((sum, tensor) => sum + tensor.length, 0);

  const start = performance.now();
  const losses: number[] = [];
  let mean = 0;
  let evaluation: Evaluation = { epoch: 0, ...evaluate(params, heldOut) };
  const evaluations = [evaluation];
  let stepMilliseconds = 0;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const batches = batchesOf(data.size, permutation(data.size, rng));
    for (const batch of batches) {
      mean = SMOOTHING * mean + (1 - SMOOTHING) * lossAndGradients(params, grads, data, batch);
      // The mean starts at zero. Adam corrects its moments for that in the same way.
      losses.push(mean / (1 - SMOOTHING ** (losses.length + 1)));
      const before = performance.now();
      optimizer.step({ zeroGrad: true });
      stepMilliseconds += performance.now() - before;

      if (batch === batches.at(-1)) {
        evaluation = { epoch, ...evaluate(params, heldOut) };
        evaluations.push(evaluation);
      }
      report({ step: losses.length, steps, loss: losses.at(-1)!, evaluation });
    }
  }
  const seconds = (performance.now() - start) / 1000;
  optimizer.dispose();
  return { rule, parameters, losses, evaluations, seconds, stepSeconds: stepMilliseconds / 1000 };
}

/** The optimizer and its live views: the model reads and writes the optimizer's memory, nothing is copied. */
export async function createOptimizer(rule: Rule, initial: Tensors, lr: (step: number) => number) {
  const tensor = (name: keyof Tensors) => ({ shape: SHAPES[name], data: initial[name] });
  const optimizer = await rule.optimizer.create(
    [
      { params: { w1: tensor("w1"), w2: tensor("w2") }, weightDecay: rule.weightDecay },
      // Biases only move the origin: decay would pull them towards a value that means nothing.
      { params: { b1: tensor("b1"), b2: tensor("b2") }, weightDecay: 0 },
    ],
    { lr },
  );
  const views = (view: (name: string) => Float32Array): Tensors => ({
    w1: view("w1"),
    b1: view("b1"),
    w2: view("w2"),
    b2: view("b2"),
  });
  return {
    optimizer,
    params: views((name) => optimizer.param(name)),
    grads: views((name) => optimizer.grad(name)),
  };
}

/** From LEARNING_RATE down to zero, so that the last epochs settle. */
const linearDecay = (steps: number) => (step: number) => LEARNING_RATE * (1 - (step - 1) / steps);

/** Full batches only: a short last one would weigh its images more than the others. */
export function batchesOf(size: number, order: Uint32Array): Uint32Array[] {
  return Array.from({ length: Math.floor(size / BATCH) }, (_, i) => order.subarray(i * BATCH, (i + 1) * BATCH));
}
