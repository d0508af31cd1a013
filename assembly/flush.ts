import { anyTiny, clear, isTiny, store } from "./lane";
import { bytes, Format, readMoment, writeExact } from "./storage";

/**
 * Sets every element with |x| < 2^-126 to +0 (so -0 too; NaN stays). Run over the moments every `FLUSH_EVERY` steps, which costs
 * a model without such moments far less than five more instructions in every update: see docs/subnormals.md. Where sixteen
 * neighbours have none, nothing is written.
 */
// @ts-expect-error: decorator
@inline
export function flush(format: Format, values: usize, length: usize): void {
  const pair = bytes(format, 32);
  for (; length >= 16; length -= 16) {
    const a = readMoment<v128>(format, values, false);
    const b = readMoment<v128>(format, values, true);
    const c = readMoment<v128>(format, values + pair, false);
    const d = readMoment<v128>(format, values + pair, true);
    if (anyTiny(a, b, c, d)) {
      keep<v128>(format, values, a, b);
      keep<v128>(format, values + pair, c, d);
    }
    values += 2 * pair;
  }
  for (; length > 0; length--) {
    const x = readMoment<f32>(format, values, false);
    keep<f32>(format, values, x, x);
    values += bytes(format, 4);
  }
}

// @ts-expect-error: decorator
@inline
function keep<T>(format: Format, ptr: usize, x: v128, y: v128): void {
  const keptX = clear(x, isTiny(x));
  const keptY = clear(y, isTiny(y));
  if (format === Format.Float32) {
    store<T>(ptr, keptX);
    if (isVector<T>()) store<T>(ptr, keptY, 16);
  } else writeExact<T>(ptr, keptX, keptY);
}
