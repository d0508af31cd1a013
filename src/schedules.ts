/**
 * Learning rates as functions of the step t = 1, 2, …: pure, so a resumed run needs nothing but t, and of operations that IEEE 754
 * fixes, so that every engine has the same.
 *
 * `linear`, `linearWarmup`, `cosine` and `warmupStableDecay` begin at step 0 and have their last rate at step `steps`. The others are
 * PyTorch's: at step t they have the rate of its t-th step, which it calls epoch t - 1.
 *
 * @packageDocumentation
 */

export type { Schedule } from "./checks/types.js";
export { chain } from "./schedules/chain.js";
export { cosine, cosineWarmRestarts } from "./schedules/cosine.js";
export { cyclic } from "./schedules/cyclic.js";
export { exponential, multiStepDecay, stepDecay } from "./schedules/decay.js";
export { constant, linear, linearWarmup } from "./schedules/linear.js";
export { oneCycle } from "./schedules/oneCycle.js";
export { polynomial } from "./schedules/polynomial.js";
export { warmupStableDecay } from "./schedules/warmupStableDecay.js";
