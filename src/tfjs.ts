/**
 * Adam and AdamW as optimizers of TensorFlow.js, wherever `tf.train.adam` can stand.
 *
 * @packageDocumentation
 */
import { factoryFor, registerRules } from "./adapters/tfjs/optimizer.js";
import type { FusedOptimizer, Tf, TfjsOptions } from "./adapters/tfjs/types.js";

export type { FusedOptimizer, Tf, TfjsOptions } from "./adapters/tfjs/types.js";
export type { Schedule, StepResult } from "./checks/types.js";

/**
 * Adam as an optimizer of TensorFlow.js, with this package's arithmetic, defaults and options. `weightDecay` is coupled
 * (L2), default 0.
 *
 * @param tf TensorFlow.js: `import * as tf from "@tensorflow/tfjs"`
 * @throws TypeError, RangeError for an option that is not legal
 */
export function adam(tf: Tf, options?: TfjsOptions): FusedOptimizer {
  return factoryFor(tf)("FusedAdam", options);
}

/**
 * AdamW as an optimizer of TensorFlow.js. `weightDecay` is decoupled, default 0.01; biases and norms are left out of it.
 *
 * @param tf TensorFlow.js: `import * as tf from "@tensorflow/tfjs"`
 * @throws TypeError, RangeError for an option that is not legal
 * @example
 * import "@tensorflow/tfjs-backend-cpu";
 * import * as tf from "@tensorflow/tfjs-core";
 * import { adamw } from "fused-adam/tfjs";
 *
 * const optimizer = adamw(tf, { lr: 1e-3, weightDecay: 0.01 });
 * const w = tf.variable(tf.tensor2d([[1, 2]]));
 * optimizer.applyGradients([
 *   { name: w.name, tensor: tf.tensor2d([[0.1, 0.2]]) },
 * ]); // or minimize(loss)
 */
export function adamw(tf: Tf, options?: TfjsOptions): FusedOptimizer {
  return factoryFor(tf)("FusedAdamW", options);
}

/**
 * Lets `tf.loadLayersModel` make these optimizers, for models saved with `includeOptimizer`. `adam` and `adamw` do the same; it
 * is for a program that loads a model before it has called either.
 *
 * @param rules `decay` and `lrFactor` for models that are loaded from now on and were saved with such rules, which are code and
 * not saved. What they once said of a variable is saved and stays; they are asked about all others.
 * @throws TypeError for what are no rules
 */
export function register(tf: Tf, rules?: Pick<TfjsOptions, "decay" | "lrFactor">): void {
  factoryFor(tf);
  if (rules !== undefined) registerRules(tf, rules);
}
