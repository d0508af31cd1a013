import type { Adam, AdamOptions, AdamW, RuntimeOptions, StepOptions } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import type { Split } from "./data.js";
import { giveRounded } from "./halves.js";
import { evaluate, initialValues, lossAndGradients, SHAPES, type Tensors } from "./model.js";
import { createRng, permutation, type Rng } from "./rng.js";
import { BATCH } from "./task.js";
import type { Formats } from "./width.js";

/** Smoothing of the training loss: the weight of the batches before. A single batch is too noisy. */
const SMOOTHING = 0.98;

const smoothed = (mean: number, value: number): number => SMOOTHING * mean + (1 - SMOOTHING) * value;

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

export interface RunOptions extends Formats, Pick<AdamOptions, "betas">, Pick<RuntimeOptions, "threads"> {
  readonly epochs: number;
  readonly seed: number;
  /** The learning rate at the start; it falls linearly to zero. */
  readonly lr: number;
  /** A state to continue from, with the same bits if its formats are these. Weight decay and betas are then the state's. */
  readonly from?: RunState | undefined;
}

/** Everything that a run needs to continue elsewhere, as plain data. */
export interface RunState {
  readonly losses: readonly number[];
  readonly evaluations: readonly Evaluation[];
  /** The smoothed loss before it is corrected for having started at zero. */
  readonly mean: number;
  /** Parameters, moments and hyper-parameters. */
  readonly checkpoint: Uint8Array<ArrayBuffer>;
}

/**
 * One network in training. Starting weights and batches depend on the seed alone, so two runs with the same seed differ only in
 * their rule.
 */
export class Run {
  readonly stepsPerEpoch: number;
  readonly steps: number;
  /** The training loss before each step: an exponential mean over the batches so far. */
  readonly losses: number[] = [];
  /** Held-out loss and accuracy before the first epoch and after every one. */
  readonly evaluations: Evaluation[] = [];
  /** Time spent in `optimizer.step()`. */
  stepMilliseconds = 0;

  #mean = 0;
  /** What a loss of 1 in every step would have as its mean. */
  #weight = 0;
  #batches: readonly Uint32Array[] = [];
  #epochsDrawn = 0;

  private constructor(
    readonly rule: Rule,
    readonly model: Model,
    readonly split: Split,
    readonly rng: Rng,
    epochs: number,
    /** The learning rate of the first step, from which it falls linearly to zero. Can be assigned between steps. */
    public lr: number,
  ) {
    this.stepsPerEpoch = Math.floor(split.train.size / BATCH);
    this.steps = epochs * this.stepsPerEpoch;
  }

  static async create(rule: Rule, split: Split, { epochs, seed, lr, from, ...options }: RunOptions): Promise<Run> {
    const rng = createRng(seed);
    const lrAt = (step: number) => run.lrAt(step);
    const model = await createModel(rule, initialValues(rng), { ...options, lr: lrAt });
    const run = new Run(rule, model, split, rng, epochs, lr);
    if (from === undefined) {
      run.#evaluate(0);
      return run;
    }
    try {
      loadCheckpoint(run.model.optimizer, from.checkpoint);
    } catch (error) {
      run.dispose();
      throw error;
    }
    run.losses.push(...from.losses);
    run.evaluations.push(...from.evaluations);
    run.#mean = from.mean;
    for (const _ of from.losses) run.#weight = smoothed(run.#weight, 1);
    return run;
  }

  /** Whether every epoch has been trained. */
  get finished(): boolean {
    return this.losses.length >= this.steps;
  }

  /** The learning rate at step 1, 2, … */
  lrAt(step: number): number {
    return this.lr * (1 - (step - 1) / this.steps);
  }

  get parameters(): number {
    return Object.values(this.model.params).reduce((sum, tensor) => sum + tensor.length, 0);
  }

  /**
   * Trains on the next batch.
   * @param watch is shown the gradients before they are used
   */
  step(watch?: (grads: Tensors) => void): void {
    const { optimizer, params, grads } = this.model;
    const loss = lossAndGradients(params, grads, this.split.train, this.#nextBatch());
    watch?.(grads);
    this.#mean = smoothed(this.#mean, loss);
    // The mean starts at zero. Adam corrects its moments for that in the same way; a power would not have the same bits in all engines.
    this.#weight = smoothed(this.#weight, 1);
    this.losses.push(this.#mean / this.#weight);
    const options = this.model.giveGrads();
    const before = performance.now();
    optimizer.step(options);
    this.stepMilliseconds += performance.now() - before;
    if (this.losses.length % this.stepsPerEpoch === 0) this.#evaluate(this.losses.length / this.stepsPerEpoch);
  }

  /** A copy, which does not change when the run continues. */
  state(): RunState {
    const checkpoint = encodeCheckpoint(this.model.optimizer, { params: true });
    return { losses: [...this.losses], evaluations: [...this.evaluations], mean: this.#mean, checkpoint };
  }

  dispose(): void {
    this.model.optimizer.dispose();
  }

  /** The order of an epoch is drawn after that of the epoch before, so a run that continues draws all of them again. */
  #nextBatch(): Uint32Array {
    const step = this.losses.length;
    while (this.#epochsDrawn * this.stepsPerEpoch <= step) {
      const { size } = this.split.train;
      this.#batches = batchesOf(size, permutation(size, this.rng));
      this.#epochsDrawn++;
    }
    return this.#batches[step % this.stepsPerEpoch]!;
  }

  #evaluate(epoch: number): void {
    this.evaluations.push({ epoch, ...evaluate(this.model.params, this.split.heldOut) });
  }
}

/** An optimizer and its live views: the network reads and writes the optimizer's memory; only gradients of 16 bits are copied. */
export interface Model {
  readonly optimizer: Adam | AdamW;
  readonly params: Tensors;
  readonly grads: Tensors;
  /** Makes the gradients those of the next step, which has to be taken with the options that this returns: it leaves them zero. */
  giveGrads(): StepOptions;
}

/** What gradients are multiplied by: the smallest float16 is 6e-8, and some are smaller. */
const GRAD_SCALE = { float16: 1024, bfloat16: 1 };

export async function createModel(
  rule: Rule,
  initial: Tensors,
  options: Formats & Pick<AdamOptions, "lr" | "betas"> & RuntimeOptions,
): Promise<Model> {
  const tensor = (name: keyof Tensors) => ({ shape: SHAPES[name], data: initial[name] });
  const optimizer = await rule.optimizer.create(
    [
      { params: { w1: tensor("w1"), w2: tensor("w2") }, weightDecay: rule.weightDecay },
      // No decay for biases: there is no reason why they should be small.
      { params: { b1: tensor("b1"), b2: tensor("b2") }, weightDecay: 0 },
    ],
    options,
  );
  const views = (view: (name: keyof Tensors) => Float32Array): Tensors => ({
    w1: view("w1"),
    b1: view("b1"),
    w2: view("w2"),
    b2: view("b2"),
  });
  const params = views((name) => optimizer.param(name));
  const { grads: format = "float32" } = options;
  if (format === "float32") {
    return { optimizer, params, grads: views((name) => optimizer.grad(name)), giveGrads: () => ({ zeroGrad: true }) };
  }
  const grads = views((name) => new Float32Array(initial[name].length));
  const gradScale = GRAD_SCALE[format];
  return {
    optimizer,
    params,
    grads,
    giveGrads() {
      giveRounded(optimizer, format, { ...grads }, gradScale);
      return { gradScale };
    },
  };
}

/** Full batches only: in a short last one each image would have a larger weight. */
export function batchesOf(size: number, order: Uint32Array): Uint32Array[] {
  return Array.from({ length: Math.floor(size / BATCH) }, (_, i) => order.subarray(i * BATCH, (i + 1) * BATCH));
}
