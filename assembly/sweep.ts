import { descend, firstMoment, GradientUse, gradient, largest, secondMoment } from "./adam";
import { copy as writeCopies } from "./copy";
import { kept, nothing, splat, splatInt, sqrt } from "./lane";
import { bytes, Format, Rounding, Widening, writeMoments, zero } from "./storage";

/** Bytes of a float32 region that one turn of the loop works on: a cache line, four vectors. The arena pads tensors to as much. */
const TURN: usize = 64;
/** Bytes of a float32 region after which copies are made of it, while the nearest cache has it: a quarter of a cache of 32 KiB. */
const BLOCK: usize = 8192;

/**
 * Applies a step to `length` elements. The first five arguments are literals wherever it is inlined, so that nothing is left of
 * what they decide; the others are those of the kernel table.
 *
 * An element goes through a chain of some 50 cycles, which ends with a root and a division, and a processor looks only so far ahead for
 * something else to do. So a turn of the loop first moves the parameters of the turn before, whose roots are known by then, and updates the
 * moments of this one after that. It has four divisions one after the other, and four roots: on AMD's Zen 5 a unit that does both takes
 * 7 cycles for a root and a division of four numbers then, and 9 if they alternate. One offset counts for all regions, which takes
 * fewer instructions than a pointer into each. bench/NOTES.md says what that gains, and what else was tried.
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
  const none = nothing(length);
  const spread = kept(Rounding.Spread, none);
  const low = kept(Rounding.Low, none);
  const bias = kept(Widening.Bias, none);
  const gap = kept(Widening.Gap, none);
  const scale = kept(Widening.Scale, none);
  const sign = kept(Widening.Sign, none);

  // Bytes from 0, not addresses: in a memory of 4 GiB an end address may be 2^32, which no pointer can hold.
  const end = length << 2;
  let m0 = splat(0);
  let m1 = m0;
  let m2 = m0;
  let m3 = m0;
  let x0 = m0;
  let x1 = m0;
  let x2 = m0;
  let x3 = m0;
  let i: usize = 0;
  do {
    const from = i;
    const to = copies === Format.Float32 ? end : min(end, from + BLOCK);
    const turns = to & ~(TURN - 1);
    for (;;) {
      if (i > from) {
        const p = param + (i - TURN);
        descend<v128>(decoupled, m0, x0, p, ss, rb, e, d);
        descend<v128>(decoupled, m1, x1, p + 16, ss, rb, e, d);
        descend<v128>(decoupled, m2, x2, p + 32, ss, rb, e, d);
        descend<v128>(decoupled, m3, x3, p + 48, ss, rb, e, d);
      }
      if (i === turns) break;
      const p = param + i;
      const g = grad + bytes(grads, i);
      const m = expAvg + bytes(moments, i);
      const v = expAvgSq + bytes(moments, i);
      const x = maxExpAvgSq + bytes(moments, i);
      const g0 = gradient<v128>(decoupled, use, grads, p, g, false, d, s, bias, gap, scale, sign);
      const g1 = gradient<v128>(decoupled, use, grads, p, g, true, d, s, bias, gap, scale, sign);
      const g2 = gradient<v128>(decoupled, use, grads, p + 32, next(g, grads), false, d, s, bias, gap, scale, sign);
      const g3 = gradient<v128>(decoupled, use, grads, p + 32, next(g, grads), true, d, s, bias, gap, scale, sign);
      if (use === GradientUse.Zeroing) {
        zero<v128>(grads, g);
        zero<v128>(grads, next(g, grads));
      }
      m0 = firstMoment<v128>(moments, g0, m, false, b1, c1);
      m1 = firstMoment<v128>(moments, g1, m, true, b1, c1);
      const v0 = secondMoment<v128>(moments, g0, v, false, b2, c2);
      const v1 = secondMoment<v128>(moments, g1, v, true, b2, c2);
      x0 = largest<v128>(amsgrad, moments, v0, x, false);
      x1 = largest<v128>(amsgrad, moments, v1, x, true);
      if (moments !== Format.Float32) writeMoments<v128>(amsgrad, m0, v0, x0, m1, v1, x1, r, spread, low, m, v, x);
      m2 = firstMoment<v128>(moments, g2, next(m, moments), false, b1, c1);
      m3 = firstMoment<v128>(moments, g3, next(m, moments), true, b1, c1);
      const v2 = secondMoment<v128>(moments, g2, next(v, moments), false, b2, c2);
      const v3 = secondMoment<v128>(moments, g3, next(v, moments), true, b2, c2);
      x2 = largest<v128>(amsgrad, moments, v2, next(x, moments), false);
      x3 = largest<v128>(amsgrad, moments, v3, next(x, moments), true);
      if (moments !== Format.Float32)
        writeMoments<v128>(
          amsgrad,
          m2,
          v2,
          x2,
          m3,
          v3,
          x3,
          r,
          spread,
          low,
          next(m, moments),
          next(v, moments),
          next(x, moments),
        );
      x0 = sqrt(x0);
      x1 = sqrt(x1);
      x2 = sqrt(x2);
      x3 = sqrt(x3);
      i += TURN;
    }
    for (; i < to; i += 4) {
      const g = grad + bytes(grads, i);
      const m = expAvg + bytes(moments, i);
      const v = expAvgSq + bytes(moments, i);
      const x = maxExpAvgSq + bytes(moments, i);
      const g0 = gradient<f32>(decoupled, use, grads, param + i, g, false, d, s, bias, gap, scale, sign);
      if (use === GradientUse.Zeroing) zero<f32>(grads, g);
      m0 = firstMoment<f32>(moments, g0, m, false, b1, c1);
      const v0 = secondMoment<f32>(moments, g0, v, false, b2, c2);
      x0 = largest<f32>(amsgrad, moments, v0, x, false);
      if (moments !== Format.Float32) writeMoments<f32>(amsgrad, m0, v0, x0, m0, v0, x0, r, spread, low, m, v, x);
      descend<f32>(decoupled, m0, sqrt(x0), param + i, ss, rb, e, d);
    }
    if (copies !== Format.Float32) writeCopies(copies, param + from, copy + (from >> 1), (to - from) >> 2);
  } while (copies !== Format.Float32 && i < end);
}

/** The next eight numbers. */
// @ts-expect-error: decorator
@inline
function next(ptr: usize, format: Format): usize {
  return ptr + bytes(format, 32);
}
