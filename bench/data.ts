/** The hyper-parameters of every contender: PyTorch's defaults for AdamW. */
export const HYPER = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 } as const;

/**
 * Parameters and gradients repeat with this period, so that the reference has to compute no more than one period. A prime: a
 * kernel that is off by a power of two then reads wrong values.
 */
export const PERIOD = 65_521;

export interface Start {
  readonly param: Float32Array;
  readonly grad: Float32Array;
}

/** One period, or as much of it as `length` has: parameters in [-1, 1), gradients in ±0.01. */
export function startValues(length = PERIOD): Start {
  const param = new Float32Array(Math.min(length, PERIOD));
  const grad = param.slice();
  let seed = 1;
  for (let i = 0; i < param.length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    param[i] = seed / 2 ** 31 - 1;
    grad[i] = ((seed & 0xffff) / 2 ** 15 - 1) * 0.01;
  }
  return { param, grad };
}

/** Fills `target` with `values` over and over. */
export function repeat<T extends Float32Array | Uint16Array>(target: T, values: T): void {
  for (let at = 0; at < target.length; at += values.length) {
    target.set(values.subarray(0, Math.min(values.length, target.length - at)), at);
  }
}
