import type * as tfjs from "@tensorflow/tfjs-core";
import type { AdamOptions, KernelChoice, Schedule, StepOptions, StepResult } from "../../checks/types.js";

/** What of TensorFlow.js is called. `import * as tf` of "@tensorflow/tfjs" or "@tensorflow/tfjs-core" has all of it. */
export type Tf = Pick<
  typeof tfjs,
  | "Optimizer"
  | "add"
  | "backend"
  | "engine"
  | "getBackend"
  | "getKernel"
  | "matMul"
  | "scalar"
  | "serialization"
  | "tensor"
  | "tidy"
  | "variable"
  | "zeros"
>;

export type { KernelBackend, NamedTensorMap, Scalar, serialization, Tensor, Variable } from "@tensorflow/tfjs-core";

/** An entry of the array form of `applyGradients`, and of `getWeights`. */
export interface NamedTensor {
  name: string;
  tensor: tfjs.Tensor;
}

/** Options of `adam` and `adamw`: hyper-parameters, what of `StepOptions` holds for every step, and rules by variable. */
export interface TfjsOptions extends AdamOptions, Pick<StepOptions, "clipNorm" | "gradScale" | "skipNonFinite"> {
  /** Whether a variable is subject to `weightDecay`. Default: from two dimensions on, so neither biases nor norms are. */
  readonly decay?: ((name: string, shape: readonly number[]) => boolean) | undefined;
  /** What the learning rate is multiplied by for a variable, finite and >= 0. Default: 1. */
  readonly lrFactor?: ((name: string, shape: readonly number[]) => number) | undefined;
  /** Default "auto". */
  readonly kernel?: KernelChoice | undefined;
}

/** A `tf.Optimizer`, and what it has beyond that. */
export interface FusedOptimizer extends tfjs.Optimizer {
  /** The rate for variables whose factor is 1; with a schedule, its value at the last step. */
  get learningRate(): number;
  /** A number or a schedule, from the next step on. */
  set learningRate(value: number | Schedule);
  /** What the last `applyGradients` did, undefined before the first: whether it was skipped, and the gradient norm. */
  readonly lastStep: StepResult | undefined;
}
