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

/** Both parts are drawn at random, because the images are sorted by digit. */
export function splitAtRandom(all: Dataset, trainSize: number, heldOutSize: number, seed: number): Split {
  const order = permutation(all.size, createRng(seed));
  return {
    train: select(all, order.subarray(heldOutSize, heldOutSize + trainSize)),
    heldOut: select(all, order.subarray(0, heldOutSize)),
  };
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
