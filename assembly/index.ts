import { DECOUPLED, Grad, L2 } from "./adam";
import { sweep } from "./sweep";
export { flush, sum_squares } from "./reduce";

export function adam(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adam_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adam_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, false, Grad.ScaledAndZeroed, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adam_amsgrad(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adam_amsgrad_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adam_amsgrad_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(L2, true, Grad.ScaledAndZeroed, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, false, Grad.ScaledAndZeroed, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw_amsgrad(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.Plain, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw_amsgrad_scaled(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.Scaled, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}

export function adamw_amsgrad_zeroing(p: usize, g: usize, m: usize, v: usize, x: usize, n: usize, b1: f32, c1: f32, b2: f32, c2: f32, ss: f32, rb: f32, eps: f32, d: f32, s: f32): void {
  sweep(DECOUPLED, true, Grad.ScaledAndZeroed, p, g, m, v, x, n, b1, c1, b2, c2, ss, rb, eps, d, s);
}
