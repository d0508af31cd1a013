/**
 * Adam and AdamW in float64, as the papers print them: the moments corrected first, then the step. Nothing is
 * narrowed, hoisted, fused or flushed. Where the float32 oracle and this disagree by more than rounding, one of them
 * has the formula wrong.
 *
 * As PyTorch has it, and not Reddi et al. 2018: the corrected maximum of v, over v itself and not over v-hat.
 */
import type { ReferenceOptions } from "./reference.js";

export interface Reference64State {
  param: Float64Array;
  grad: Float64Array;
  expAvg: Float64Array;
  expAvgSq: Float64Array;
  /** Read and written with `amsgrad` only. */
  maxExpAvgSq: Float64Array;
  /** Steps taken so far. */
  step: number;
}

/** One step of one tensor, in place; the gradient is multiplied by `factor`. */
export function reference64Step(state: Reference64State, options: ReferenceOptions, factor = 1): void {
  const [beta1, beta2] = options.betas;
  const alpha = options.lr;
  const lambda = options.weightDecay;
  const t = ++state.step;

  state.param.forEach((theta, i) => {
    // Ascent on f is descent on -f.
    let g = factor * state.grad[i]!;
    if (options.maximize) g = -g;
    // L2 is a term of the loss, so its gradient is part of g, and is not negated by maximize.
    if (options.mode === "adam") g += lambda * theta;

    const m = beta1 * state.expAvg[i]! + (1 - beta1) * g;
    const v = beta2 * state.expAvgSq[i]! + (1 - beta2) * g ** 2;
    state.expAvg[i] = m;
    state.expAvgSq[i] = v;

    let second = v;
    if (options.amsgrad) {
      second = Math.max(state.maxExpAvgSq[i]!, v);
      state.maxExpAvgSq[i] = second;
    }

    const mHat = options.biasCorrection ? m / (1 - beta1 ** t) : m;
    const vHat = options.biasCorrection ? second / (1 - beta2 ** t) : second;

    const decay = options.mode === "adamw" ? alpha * lambda * theta : 0;
    state.param[i] = theta - alpha * (mHat / (Math.sqrt(vHat) + options.eps)) - decay;
  });
}
