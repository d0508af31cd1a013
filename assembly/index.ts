/**
 * The exports. Updates are named `<decay>[_amsgrad][_<gradient>]`: adam (coupled, L2) or adamw (decoupled; factor 1: none);
 * `scaled` multiplies the gradient by a factor first, `zeroing` does that and leaves zero behind. src/kernels/table.ts has the
 * same rows as a table, tests and benches run over it.
 *
 * Arguments: addresses of param, grad, expAvg, expAvgSq, maxExpAvgSq; length in elements; beta1, 1 - beta1, beta2,
 * 1 - beta2, step size, 1 / sqrt(biasCorrection2), eps, decay (lambda, or 1 - lr * lambda), gradient factor.
 * A thread is a range: other addresses and another length.
 */
import { DECOUPLED, Grad, L2 } from "./adam";
import { sweep } from "./sweep";

export { flush } from "./flush";
export { sum_squares } from "./reduce";

export function adam(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adam_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adam_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.Zeroing, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adam_amsgrad(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adam_amsgrad_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adam_amsgrad_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.Zeroing, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.Zeroing, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw_amsgrad(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw_amsgrad_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}

export function adamw_amsgrad_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, e: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.Zeroing, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, e, d, s);
}
