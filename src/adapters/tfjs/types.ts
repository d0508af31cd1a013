import type * as tfjs from "@tensorflow/tfjs-core";
import type { AdamOptions, KernelChoice, Schedule, StepOptions, StepResult } from "../../checks/types.js";

/** What of TensorFlow.js is called. `import * as tf` of "@tensorflow/tfjs" or "@tensorflow/tfjs-core" has all of it. */
export type Tf = Pick<
  typeof tfjs,
  | "Optimizer"
  | "add"
  | "backend"
  | "engine"
  | "env"
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

export type {
  KernelBackend,
  NamedTensorMap,
  Scalar,
  serialization,
  Tensor,
  TensorInfo,
  Variable,
} from "@tensorflow/tfjs-core";

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
  /**
   * "auto", the default: on webgpu, and on webgl with float32 textures, variables and moments stay on the GPU, and the step is
   * computed there. "copy": gradients are read and parameters written back on webgl, as on backends that are not known.
   */
  readonly gpu?: "auto" | "copy" | undefined;
}

/** A `tf.Optimizer`, and what it has beyond that. */
export interface FusedOptimizer extends tfjs.Optimizer {
  /** The rate for variables whose factor is 1; with a schedule, its value at the last step. */
  get learningRate(): number;
  /** A number or a schedule, from the next step on. */
  set learningRate(value: number | Schedule);
  /**
   * What the last `applyGradients` did, undefined before the first: whether it was skipped, and the gradient norm. On a GPU, with
   * `clipNorm` or `skipNonFinite`, what the last one did of which that is known; `iterations` counts later ones as taken.
   */
  readonly lastStep: StepResult | undefined;
  /**
   * Waits until it is known what every step did, and resolves to what the last one did: then `lastStep` and `iterations` are
   * current. On a GPU that takes until the step is computed, elsewhere nothing.
   *
   * @throws Error `ERR_BACKEND` for a device that was lost
   */
  settled(): Promise<StepResult | undefined>;
  /**
   * Settles, and reads variables and moments, so that they survive `tf.setBackend`. Needed before leaving webgpu, which cannot be
   * read synchronously; harmless elsewhere.
   *
   * @throws Error `ERR_BACKEND` for a device that was lost
   */
  readable(): Promise<void>;
}
