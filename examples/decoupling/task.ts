import type { Dataset } from "./dataset.js";

/** What is learnt, by a network without biases: everything about a run but its rule, its seed and their numbers. */
export interface Task {
  /** A multiple of 16. */
  readonly hidden: number;
  /** Examples in a batch. Left out: all of them, in every step. */
  readonly batch?: number;
  /** The learning rate's way: as it is, or in a straight line to 0. */
  readonly schedule: "constant" | "linear";
  /** Standard deviations of the starting weights. */
  readonly sigma: { readonly w1: number; readonly w2: number };
  readonly data: Dataset;
  /** Numbers of examples. The same seed gives the same ones. */
  split(seed: number): Split;
}

export interface Split {
  readonly train: Uint32Array;
  /** Never trained on with this seed: what hyper-parameters are chosen by. */
  readonly validation: Uint32Array;
  /** Never trained on with this seed: what is reported. */
  readonly test: Uint32Array;
}
