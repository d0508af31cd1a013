import { descend, firstMoment, GradientUse, gradient, secondMoment } from "./adam";
import { copy as copyAll, copyTurn } from "./copy";
import { splat, splatInt } from "./lane";
import { bytes, Format } from "./storage";

/** Bytes of each float32 region that one turn of the unrolled loop works on: a cache line. The arena pads tensors to as much. */
const TURN: usize = 64;

/**
 * Applies a step to `length` elements. The first five arguments are literals wherever it is inlined, so that nothing is left of
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
  grads: Format,
  moments: Format,
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
  copy: usize,
  seed: i32,
  copies: Format,
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
  const r = splatInt(seed);

  // Bytes from 0, not addresses: in a memory of 4 GiB an end address may be 2^32, which no pointer can hold.
  const end = length << 2;
  const turns = end & ~(TURN - 1);
  let i: usize = 0;
  if (turns > 0) {
    const g0 = gradient<v128>(decoupled, use, grads, param, grad, d, s);
    let m0 = firstMoment<v128>(moments, g0, expAvg, b1, c1);
    let root0 = secondMoment<v128>(amsgrad, moments, g0, m0, r, expAvg, expAvgSq, maxExpAvgSq, b2, c2);
    for (;;) {
      const p = param + i;
      const g = grad + bytes(grads, i);
      const m = expAvg + bytes(moments, i);
      const v = expAvgSq + bytes(moments, i);
      const x = maxExpAvgSq + bytes(moments, i);
      // The turn before this one is complete now.
      if (copies !== Format.Float32 && i > 0) copyTurn(copies, p - TURN, copy + (i - TURN) / 2);
      // A vector further on, in each of the regions.
      const toG = bytes(grads, 16);
      const toM = bytes(moments, 16);
      const g1 = gradient<v128>(decoupled, use, grads, p + 16, g + toG, d, s);
      const m1 = firstMoment<v128>(moments, g1, m + toM, b1, c1);
      const root1 = secondMoment<v128>(amsgrad, moments, g1, m1, r, m + toM, v + toM, x + toM, b2, c2);
      descend<v128>(decoupled, m0, root0, p, ss, rb, e, d);
      const g2 = gradient<v128>(decoupled, use, grads, p + 32, g + 2 * toG, d, s);
      const m2 = firstMoment<v128>(moments, g2, m + 2 * toM, b1, c1);
      const root2 = secondMoment<v128>(amsgrad, moments, g2, m2, r, m + 2 * toM, v + 2 * toM, x + 2 * toM, b2, c2);
      descend<v128>(decoupled, m1, root1, p + 16, ss, rb, e, d);
      const g3 = gradient<v128>(decoupled, use, grads, p + 48, g + 3 * toG, d, s);
      const m3 = firstMoment<v128>(moments, g3, m + 3 * toM, b1, c1);
      const root3 = secondMoment<v128>(amsgrad, moments, g3, m3, r, m + 3 * toM, v + 3 * toM, x + 3 * toM, b2, c2);
      descend<v128>(decoupled, m2, root2, p + 32, ss, rb, e, d);
      i += TURN;
      if (i === turns) {
        descend<v128>(decoupled, m3, root3, p + 48, ss, rb, e, d);
        break;
      }
      const g4 = gradient<v128>(decoupled, use, grads, p + 64, g + 4 * toG, d, s);
      m0 = firstMoment<v128>(moments, g4, m + 4 * toM, b1, c1);
      root0 = secondMoment<v128>(amsgrad, moments, g4, m0, r, m + 4 * toM, v + 4 * toM, x + 4 * toM, b2, c2);
      descend<v128>(decoupled, m3, root3, p + 48, ss, rb, e, d);
    }
  }
  for (; i < end; i += 4) {
    const m = expAvg + bytes(moments, i);
    const v = expAvgSq + bytes(moments, i);
    const x = maxExpAvgSq + bytes(moments, i);
    const g = gradient<f32>(decoupled, use, grads, param + i, grad + bytes(grads, i), d, s);
    const m0 = firstMoment<f32>(moments, g, m, b1, c1);
    const root = secondMoment<f32>(amsgrad, moments, g, m0, r, m, v, x, b2, c2);
    descend<f32>(decoupled, m0, root, param + i, ss, rb, e, d);
  }
  if (copies !== Format.Float32) {
    const from = turns > 0 ? turns - TURN : 0;
    copyAll(copies, param + from, copy + from / 2, length - (from >> 2));
  }
}
