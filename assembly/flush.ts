import { anyTiny, clear, isTiny, load, store } from "./lane";

/**
 * Sets every element with |x| < 2^-126 to +0 (so -0 too; NaN stays). Run over the moments every `FLUSH_EVERY` steps, which costs
 * a model without such moments far less than five more instructions in every update: see docs/subnormals.md. Where sixteen
 * neighbours have none, nothing is written.
 */
export function flush(values: usize, length: usize): void {
  for (; length >= 16; length -= 16) {
    const a = load<v128>(values);
    const b = load<v128>(values, 16);
    const c = load<v128>(values, 32);
    const d = load<v128>(values, 48);
    if (anyTiny(a, b, c, d)) {
      store<v128>(values, clear(a, isTiny(a)));
      store<v128>(values, clear(b, isTiny(b)), 16);
      store<v128>(values, clear(c, isTiny(c)), 32);
      store<v128>(values, clear(d, isTiny(d)), 48);
    }
    values += 64;
  }
  for (; length > 0; length--) {
    const a = load<f32>(values);
    store<f32>(values, clear(a, isTiny(a)));
    values += 4;
  }
}
