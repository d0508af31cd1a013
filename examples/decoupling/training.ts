import { Adam, AdamW } from "fused-adam";
import { constant, linear } from "fused-adam/schedules";
import { createRng, normal, permutation } from "../shared/rng.js";
import type { Evaluation, Network } from "./network.js";
import type { RuleName } from "./rules.js";
import type { Split, Task } from "./task.js";

const OPTIMIZERS = { AdamW, "Adam + L2": Adam } as const satisfies Record<RuleName, unknown>;

/** What sets a run of a task apart from its others. */
export interface Choice {
  readonly rule: RuleName;
  readonly lr: number;
  readonly weightDecay: number;
  readonly seed: number;
  readonly steps: number;
}

/**
 * One run. Split, starting weights and batches depend on the seed alone, so two rules with one seed differ in nothing but the
 * rule. A network has one run at a time.
 */
export class Training {
  readonly optimizer: Adam | AdamW;
  readonly #network: Network;
  readonly #split: Split;
  readonly #choice: Choice;
  readonly #batch: number;
  #order = new Uint32Array();
  #epoch = -1;

  constructor(task: Task, network: Network, choice: Choice) {
    const { lr, weightDecay, seed, steps } = choice;
    const { memory, pointers } = network;
    this.#network = network;
    this.#choice = choice;
    this.#split = task.split(seed);
    this.#batch = task.batch ?? this.#split.train.length;
    this.optimizer = OPTIMIZERS[choice.rule].createSync(pointers, {
      memory,
      lr: task.schedule === "constant" ? constant(lr) : linear({ from: lr, to: 0, steps }),
      weightDecay,
    });
    const rng = createRng(mix(seed, 0));
    for (const name of ["w1", "w2"] as const) {
      const param = this.optimizer.param(name);
      for (let i = 0; i < param.length; i++) param[i] = task.sigma[name] * normal(rng);
    }
    this.optimizer.zeroGrad();
  }

  /** Steps done, those before a checkpoint that was loaded included. */
  get step(): number {
    return this.optimizer.steps;
  }

  runTo(end: number): void {
    for (let step = this.step; step < end; step++) {
      this.#network.gradients(this.#batchOf(step));
      this.optimizer.step({ zeroGrad: true });
    }
  }

  evaluate(part: keyof Split): Evaluation {
    return this.#network.evaluate(this.#split[part]);
  }

  /** Full batches only; every epoch has an order of its own, that follows from the seed. */
  #batchOf(step: number): Uint32Array {
    const { train } = this.#split;
    if (this.#batch === train.length) return train;
    const perEpoch = Math.floor(train.length / this.#batch);
    const epoch = Math.floor(step / perEpoch);
    if (epoch !== this.#epoch) {
      this.#order = permutation(train.length, createRng(mix(this.#choice.seed, 1 + epoch))).map((i) => train[i]!);
      this.#epoch = epoch;
    }
    const at = step % perEpoch;
    return this.#order.subarray(at * this.#batch, (at + 1) * this.#batch);
  }
}

/** A seed for each of many sequences of one seed. */
function mix(seed: number, sequence: number): number {
  return Math.imul(seed, 0x9e3779b1) ^ Math.imul(sequence + 1, 0x85ebca6b);
}
