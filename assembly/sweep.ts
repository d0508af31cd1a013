import { Grad, update } from "./adam";
import { splat } from "./lane";

/**
 * Elements per turn of the unrolled loop: four vectors, a cache line of each region, which is also what tensors in the arena are
 * padded to. At 65,536 parameters one vector took 2.0 ns per parameter, two 1.6, four 1.5; in the machine's other, faster state
 * (docs/benchmarks.md) 1.00, 0.97, 0.97.
 */
const UNROLL: usize = 16;

/** Applies `update` to `length` elements. Counts down: an end address can be 2^32, which no pointer can hold. */
// @ts-ignore: decorator
@inline
export function sweep(
  decoupled: bool, amsgrad: bool, gradMode: Grad,
  param: usize, grad: usize, expAvg: usize, expAvgSq: usize, maxExpAvgSq: usize, length: usize,
  beta1: f32, oneMinusBeta1: f32, beta2: f32, oneMinusBeta2: f32,
  stepSize: f32, rsqrtBiasCorrection2: f32, eps: f32, decay: f32, gradFactor: f32,
): void {
  const b1 = splat(beta1), c1 = splat(oneMinusBeta1), b2 = splat(beta2), c2 = splat(oneMinusBeta2);
  const ss = splat(stepSize), rb = splat(rsqrtBiasCorrection2), e = splat(eps), d = splat(decay), s = splat(gradFactor);

  for (; length >= UNROLL; length -= UNROLL) {
    update<v128>(decoupled, amsgrad, gradMode, 0, param, grad, expAvg, expAvgSq, maxExpAvgSq, b1, c1, b2, c2, ss, rb, e, d, s);
    update<v128>(decoupled, amsgrad, gradMode, 16, param, grad, expAvg, expAvgSq, maxExpAvgSq, b1, c1, b2, c2, ss, rb, e, d, s);
    update<v128>(decoupled, amsgrad, gradMode, 32, param, grad, expAvg, expAvgSq, maxExpAvgSq, b1, c1, b2, c2, ss, rb, e, d, s);
    update<v128>(decoupled, amsgrad, gradMode, 48, param, grad, expAvg, expAvgSq, maxExpAvgSq, b1, c1, b2, c2, ss, rb, e, d, s);
    param += 64;
    grad += 64;
    expAvg += 64;
    expAvgSq += 64;
    if (amsgrad) maxExpAvgSq += 64;
  }
  for (; length > 0; length--) {
    update<f32>(decoupled, amsgrad, gradMode, 0, param, grad, expAvg, expAvgSq, maxExpAvgSq, b1, c1, b2, c2, ss, rb, e, d, s);
    param += 4;
    grad += 4;
    expAvg += 4;
    expAvgSq += 4;
    if (amsgrad) maxExpAvgSq += 4;
  }
}
