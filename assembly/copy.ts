import { load } from "./lane";
import { Format, writeNearest } from "./storage";

/** Leaves 16 parameters at `copies` as well, rounded to nearest, ties to even. */
// @ts-expect-error: decorator
@inline
export function copyTurn(format: Format, params: usize, copies: usize): void {
  if (format === Format.Bfloat16) turn(Format.Bfloat16, params, copies);
  else turn(Format.Float16, params, copies);
}

/** As `copyTurn`, of any number. */
export function copy(format: Format, params: usize, copies: usize, length: usize): void {
  for (; length >= 16; length -= 16) {
    copyTurn(format, params, copies);
    params += 64;
    copies += 32;
  }
  for (; length > 0; length--) {
    const x = load<f32>(params);
    if (format === Format.Bfloat16) writeNearest<f32>(Format.Bfloat16, copies, x, x);
    else writeNearest<f32>(Format.Float16, copies, x, x);
    params += 4;
    copies += 2;
  }
}

// @ts-expect-error: decorator
@inline
function turn(format: Format, params: usize, copies: usize): void {
  writeNearest<v128>(format, copies, load<v128>(params), load<v128>(params, 16));
  writeNearest<v128>(format, copies + 16, load<v128>(params, 32), load<v128>(params, 48));
}
