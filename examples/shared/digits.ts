import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { CLASSES, type Dataset, PIXELS, type Split, splitAtRandom } from "./data.js";

/** The 10,000 MNIST digits of the `mnist` package, split by `seed`. */
export function loadDigits(trainSize: number, heldOutSize: number, seed: number): Split {
  return splitAtRandom(readDigits(), trainSize, heldOutSize, seed);
}

/** Reads the package's JSON files, because its main module shuffles with Math.random. */
export function readDigits(): Dataset {
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
