/** Tensors by their names: parameters, or gradients. */
export type Tensors<T = Float32Array> = Readonly<Record<string, T>>;

/** What is learnt. */
export interface Task {
  readonly steps: number;
  /** The learning rate of the first step. From there it falls in a straight line to 0. */
  readonly lr: number;
  /** The same seed gives the same examples, starting values and batches. */
  start(seed: number): Start;
}

export interface Start {
  readonly initial: Tensors;
  /** Adds the gradient of the next batch. */
  backward(params: Tensors, grads: Tensors): void;
  /** Mean cross entropy in nats of examples that are trained on, and of others. */
  evaluate(params: Tensors): Losses;
}

export interface Losses {
  readonly train: number;
  readonly heldOut: number;
}
