import { anyTiny, clear, isTiny, load, store } from "./lane";

/**
 * Sets every element with |x| < 2^-126 to +0 (so -0 too; NaN stays). A pass of its own over the moments every so many
 * steps costs a dense model far less than the same five instructions inside every update: see docs/subnormals.md.
 * Blocks without such an element are only read.
 */
export function flush(ptr: usize, length: usize): void {
  for (; length >= 16; length -= 16) {
    const a = load<v128>(ptr), b = load<v128>(ptr, 16), c = load<v128>(ptr, 32), d = load<v128>(ptr, 48);
    if (anyTiny(a, b, c, d)) {
      store<v128>(ptr, clear(a, isTiny(a)));
      store<v128>(ptr, clear(b, isTiny(b)), 16);
      store<v128>(ptr, clear(c, isTiny(c)), 32);
      store<v128>(ptr, clear(d, isTiny(d)), 48);
    }
    ptr += 64;
  }
  for (; length > 0; length--) {
    const a = load<f32>(ptr);
    store<f32>(ptr, clear(a, isTiny(a)));
    ptr += 4;
  }
}
