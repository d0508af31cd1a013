import { descend, firstMoment, GradientUse, gradient, secondMoment } from "./adam";
import { splat } from "./lane";

/** Bytes of each region that one turn of the unrolled loop works on: a cache line. The arena pads tensors to as much. */
const TURN: usize = 64;

/**
 * Applies a step to `length` elements. The first three arguments are literals wherever it is inlined, so that nothing is left of
 * what they decide; the others are those of the kernel table.
 *
 * An element goes through a chain of some 50 cycles, which ends with a root and a division, and a processor looks only so far ahead for
 * something else to do. So the loop updates the moments of the next vector before it moves the parameters of this one. And one
 * offset counts for all regions, which takes fewer instructions than a pointer into each. Both together: 5 to 13 % in cache, 7 % at
 * 16 Mi. docs/benchmarks.md says what else was tried.
 */
// @ts-expect-error: decorator
@inline
export function sweep(
  decoupled: bool,
  amsgrad: bool,
  use: GradientUse,
  param: usize,
  grad: usize,
  expAvg: usize,
  expAvgSq: usize,
  maxExpAvgSq: usize,
  length: usize,
  beta1: f32,
  oneMinusBeta1: f32,
  beta2: f32,
  oneMinusBeta2: f32,
  stepSize: f32,
  rsqrtBiasCorrection2: f32,
  eps: f32,
  decay: f32,
  gradFactor: f32,
): void {
  const b1 = splat(beta1);
  const c1 = splat(oneMinusBeta1);
  const b2 = splat(beta2);
  const c2 = splat(oneMinusBeta2);
  const ss = splat(stepSize);
  const rb = splat(rsqrtBiasCorrection2);
  const e = splat(eps);
  const d = splat(decay);
  const s = splat(gradFactor);

  // Bytes from 0, not addresses: in a memory of 4 GiB an end address may be 2^32, which no pointer can hold.
  const end = length << 2;
  const turns = end & ~(TURN - 1);
  let i: usize = 0;
  if (turns > 0) {
    const g0 = gradient<v128>(decoupled, use, param, grad, d, s);
    let root0 = secondMoment<v128>(amsgrad, g0, expAvgSq, maxExpAvgSq, b2, c2);
    let m0 = firstMoment<v128>(g0, expAvg, b1, c1);
    for (;;) {
      const p = param + i;
      const g = grad + i;
      const m = expAvg + i;
      const v = expAvgSq + i;
      const x = maxExpAvgSq + i;
      const g1 = gradient<v128>(decoupled, use, p + 16, g + 16, d, s);
      const root1 = secondMoment<v128>(amsgrad, g1, v + 16, x + 16, b2, c2);
      const m1 = firstMoment<v128>(g1, m + 16, b1, c1);
      descend<v128>(decoupled, m0, root0, p, ss, rb, e, d);
      const g2 = gradient<v128>(decoupled, use, p + 32, g + 32, d, s);
      const root2 = secondMoment<v128>(amsgrad, g2, v + 32, x + 32, b2, c2);
      const m2 = firstMoment<v128>(g2, m + 32, b1, c1);
      descend<v128>(decoupled, m1, root1, p + 16, ss, rb, e, d);
      const g3 = gradient<v128>(decoupled, use, p + 48, g + 48, d, s);
      const root3 = secondMoment<v128>(amsgrad, g3, v + 48, x + 48, b2, c2);
      const m3 = firstMoment<v128>(g3, m + 48, b1, c1);
      descend<v128>(decoupled, m2, root2, p + 32, ss, rb, e, d);
      i += TURN;
      if (i === turns) {
        descend<v128>(decoupled, m3, root3, p + 48, ss, rb, e, d);
        break;
      }
      const g4 = gradient<v128>(decoupled, use, p + 64, g + 64, d, s);
      root0 = secondMoment<v128>(amsgrad, g4, v + 64, x + 64, b2, c2);
      m0 = firstMoment<v128>(g4, m + 64, b1, c1);
      descend<v128>(decoupled, m3, root3, p + 48, ss, rb, e, d);
    }
  }
  for (; i < end; i += 4) {
    const g = gradient<f32>(decoupled, use, param + i, grad + i, d, s);
    const root = secondMoment<f32>(amsgrad, g, expAvgSq + i, maxExpAvgSq + i, b2, c2);
    const m = firstMoment<f32>(g, expAvg + i, b1, c1);
    descend<f32>(decoupled, m, root, param + i, ss, rb, e, d);
  }
}
