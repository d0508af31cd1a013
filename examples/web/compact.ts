import { type Dataset, PIXELS, type Split } from "../shared/data.js";

/*
 * The digits as the page fetches them: two sizes (uint32, little-endian), then a byte per label and a byte per pixel, the
 * training images first. The `mnist` package has 256 grey levels and writes each as k / 255 with three decimals, so a byte
 * holds all of a pixel.
 */

const LEVELS = Float32Array.from({ length: 256 }, (_, k) => Math.round((1000 * k) / 255) / 1000);

export function encodeSplit({ train, heldOut }: Split): Uint8Array<ArrayBuffer> {
  const size = train.size + heldOut.size;
  const bytes = new Uint8Array(8 + size * (1 + PIXELS));
  new Uint32Array(bytes.buffer, 0, 2).set([train.size, heldOut.size]);
  bytes.set(train.labels, 8);
  bytes.set(heldOut.labels, 8 + train.size);
  let at = 8 + size;
  for (const { images } of [train, heldOut]) {
    for (const value of images) {
      const level = Math.round(255 * value);
      if (LEVELS[level] !== value) throw new RangeError(`pixel: expected one of 256 grey levels, got ${value}`);
      bytes[at++] = level;
    }
  }
  return bytes;
}

export function decodeSplit(bytes: Uint8Array<ArrayBuffer>): Split {
  const sizes = bytes.length < 8 ? undefined : new DataView(bytes.buffer, bytes.byteOffset);
  const [train, heldOut] = [sizes?.getUint32(0, true) ?? 0, sizes?.getUint32(4, true) ?? 0];
  const expected = 8 + (train + heldOut) * (1 + PIXELS);
  if (sizes === undefined || bytes.length !== expected) {
    throw new RangeError(`digits: expected ${expected} bytes, got ${bytes.length}`);
  }
  const pixels = 8 + train + heldOut;
  const part = (first: number, size: number): Dataset => ({
    images: Float32Array.from(
      bytes.subarray(pixels + first * PIXELS, pixels + (first + size) * PIXELS),
      (k) => LEVELS[k]!,
    ),
    labels: bytes.slice(8 + first, 8 + first + size),
    size,
  });
  return { train: part(0, train), heldOut: part(train, heldOut) };
}
