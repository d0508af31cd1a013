import type { Adam } from "fused-adam";

export type Half = "float16" | "bfloat16";

/** The bits of the nearest number that the format has, ties to even, of every value times `scale`. For numbers, not for NaN. */
export function nearest(format: Half, values: Float32Array, scale = 1): Uint16Array {
  const scaled = scale === 1 ? values : values.map((x) => x * scale);
  const bits = new Uint32Array(scaled.buffer, scaled.byteOffset, scaled.length);
  // A bfloat16 is the upper half of a float32.
  if (format === "bfloat16") return Uint16Array.from(bits, (x) => (x + 0x7fff + ((x >>> 16) & 1)) >>> 16);
  return Uint16Array.from(bits, (x, i) => ((x >>> 16) & 0x8000) | magnitude(scaled[i]!, (x >>> 23) & 255));
}

/** As float16, without the sign. */
function magnitude(x: number, biased: number): number {
  // Of numbers from 2^-14 on, 11 bits are kept; of those below, all down to 2^-24.
  const exponent = Math.max(biased - 127, -14);
  const units = Math.abs(x) * 2 ** (10 - exponent);
  // 2^52 and more has no room for fractions, so the sum is rounded. Too much for the last exponent is infinity.
  return Math.min(units + 2 ** 52 - 2 ** 52 + (exponent + 14) * 1024, 0x7c00);
}

/** Gives an optimizer these gradients, rounded to nearest, as groups of 16 bits take them, and leaves them zero. */
export function giveRounded(
  optimizer: Pick<Adam, "setGrad">,
  format: Half,
  grads: Readonly<Record<string, Float32Array>>,
  scale?: number,
): void {
  for (const [name, grad] of Object.entries(grads)) {
    optimizer.setGrad(name, nearest(format, grad, scale));
    grad.fill(0);
  }
}
