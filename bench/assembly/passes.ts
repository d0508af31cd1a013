/**
 * Lower bounds for a step: its memory traffic without its arithmetic, and its square root and division without its memory
 * traffic. Also a pass that scales gradients, for steps made of separate passes. Same instructions and same unrolling as the
 * kernels; lengths are multiples of 16.
 */
import { div, load, mul, or, splat, sqrt, store } from "../../assembly/lane";

/** Loads param, grad, expAvg, expAvgSq and stores all but grad, unchanged. Returns a value computed from grad, so that its loads are not removed. */
export function load_store(param: usize, grad: usize, expAvg: usize, expAvgSq: usize, length: usize): i32 {
  let seen = splat(0);
  for (; length >= 16; length -= 16) {
    copy(param, expAvg, expAvgSq, 0);
    copy(param, expAvg, expAvgSq, 16);
    copy(param, expAvg, expAvgSq, 32);
    copy(param, expAvg, expAvgSq, 48);
    seen = or(or(seen, load<v128>(grad, 0)), or(load<v128>(grad, 16), or(load<v128>(grad, 32), load<v128>(grad, 48))));
    param += 64;
    grad += 64;
    expAvg += 64;
    expAvgSq += 64;
  }
  return v128.any_true(seen) ? 1 : 0;
}

// @ts-expect-error: decorator
@inline
function copy(param: usize, expAvg: usize, expAvgSq: usize, offset: usize): void {
  const p = load<v128>(param, offset);
  const m = load<v128>(expAvg, offset);
  const v = load<v128>(expAvgSq, offset);
  store<v128>(param, p, offset);
  store<v128>(expAvg, m, offset);
  store<v128>(expAvgSq, v, offset);
}

/**
 * One square root and one division for each of `length` elements, over and over the `block` of them at `values`. Divisions are next to
 * each other, and roots, as in the kernels. Returns the bitwise or of all 1 / sqrt(x) that fell into the first lane.
 */
export function sqrt_div(values: usize, block: usize, length: usize): i32 {
  let seen = splat(0);
  let a = splat(Infinity);
  let b = a;
  let c = a;
  let d = a;
  for (let done: usize = 0; done < length; done += block) {
    for (let i: usize = 0; i < block; i += 16) {
      const at = values + (i << 2);
      seen = or(seen, inverses(a, b, c, d));
      a = sqrt(load<v128>(at, 0));
      b = sqrt(load<v128>(at, 16));
      c = sqrt(load<v128>(at, 32));
      d = sqrt(load<v128>(at, 48));
    }
  }
  return i32x4.extract_lane(or(seen, inverses(a, b, c, d)), 0);
}

// @ts-expect-error: decorator
@inline
function inverses(a: v128, b: v128, c: v128, d: v128): v128 {
  const one = splat(1);
  return or(or(div(one, a), div(one, b)), or(div(one, c), div(one, d)));
}

/** Multiplies each element by `factor`. */
export function scale(values: usize, factor: f32, length: usize): void {
  const f = splat(factor);
  for (; length >= 16; length -= 16) {
    scaleAt(values, f, 0);
    scaleAt(values, f, 16);
    scaleAt(values, f, 32);
    scaleAt(values, f, 48);
    values += 64;
  }
}

// @ts-expect-error: decorator
@inline
function scaleAt(values: usize, factor: v128, offset: usize): void {
  store<v128>(values, mul(load<v128>(values, offset), factor), offset);
}
