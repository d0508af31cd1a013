import { add64, addSquares, any, clear, isTiny, load, splat, store, sumAcross64 } from "./lane";

export function sum_squares(grad: usize, length: usize): f64 {
  let s0 = splat(0), s1 = splat(0), s2 = splat(0), s3 = splat(0);
  for (; length >= 8; length -= 8) {
    const a = load<v128>(grad, 0), b = load<v128>(grad, 16);
    s0 = addSquares(s0, a, false);
    s1 = addSquares(s1, a, true);
    s2 = addSquares(s2, b, false);
    s3 = addSquares(s3, b, true);
    grad += 32;
  }
  let rest: f64 = 0;
  for (; length > 0; length--) {
    s0 = addSquares(s0, load<f32>(grad, 0), false);
    grad += 4;
  }
  return sumAcross64(add64(add64(s0, s1), add64(s2, s3)));
}

export function flush(ptr: usize, length: usize): void {
  for (; length >= 16; length -= 16) {
    const a = load<v128>(ptr, 0), b = load<v128>(ptr, 16), c = load<v128>(ptr, 32), d = load<v128>(ptr, 48);
    const ta = isTiny(a), tb = isTiny(b), tc = isTiny(c), td = isTiny(d);
    if (any(v128.or(v128.or(ta, tb), v128.or(tc, td)))) {
      store<v128>(ptr, 0, clear(a, ta));
      store<v128>(ptr, 16, clear(b, tb));
      store<v128>(ptr, 32, clear(c, tc));
      store<v128>(ptr, 48, clear(d, td));
    }
    ptr += 64;
  }
  for (; length > 0; length--) {
    const a = load<f32>(ptr, 0);
    store<f32>(ptr, 0, clear(a, isTiny(a)));
    ptr += 4;
  }
}
