import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createRng, permutation } from "./rng.js";

export const PIXELS = 28 * 28;
export const CLASSES = 10;

/** Images one after the other, `PIXELS` values in [0, 1] each. */
export interface Dataset {
  readonly images: Float32Array;
  readonly labels: Uint8Array;
  readonly size: number;
}

export interface Split {
  readonly train: Dataset;
  readonly heldOut: Dataset;
}

/** The 10,000 MNIST digits of the `mnist` package, split by `seed`. */
export function loadDigits(trainSize: number, heldOutSize: number, seed: number): Split {
  const all = readDigits();
  // The files are sorted by digit, so both halves must be drawn at random.
  const order = permutation(all.size, createRng(seed));
  return {
    train: select(all, order.subarray(heldOutSize, heldOutSize + trainSize)),
    heldOut: select(all, order.subarray(0, heldOutSize)),
  };
}

/** Reads the package's JSON files: its main module shuffles with Math.random and could not be reproduced. */
function readDigits(): Dataset {
  const require = createRequire(import.meta.url);
  const pixelsByDigit = Array.from({ length: CLASSES }, (_, digit) => {
    const path = require.resolve(`mnist/src/digits/${digit}.json`);
    const { data } = JSON.parse(readFileSync(path, "utf8")) as { data: number[] };
    if (data.length === 0 || data.length % PIXELS !== 0) throw new Error(`${path} does not hold whole images`);
    return data;
  });

  const size = pixelsByDigit.reduce((sum, pixels) => sum + pixels.length / PIXELS, 0);
  const images = new Float32Array(size * PIXELS);
  const labels = new Uint8Array(size);
  let first = 0;
  for (const [digit, pixels] of pixelsByDigit.entries()) {
    images.set(pixels, first * PIXELS);
    labels.fill(digit, first, first + pixels.length / PIXELS);
    first += pixels.length / PIXELS;
  }
  return { images, labels, size };
}

function select(from: Dataset, indices: Uint32Array): Dataset {
  const images = new Float32Array(indices.length * PIXELS);
  const labels = new Uint8Array(indices.length);
  for (const [to, index] of indices.entries()) {
    images.set(from.images.subarray(index * PIXELS, (index + 1) * PIXELS), to * PIXELS);
    labels[to] = from.labels[index]!;
  }
  return { images, labels, size: indices.length };
}
