import { CLASSES, PIXELS } from "../shared/data.js";
import { readDigits } from "../shared/digits.js";
import { datasetOf, type Entry } from "./dataset.js";
import { splitApart } from "./split.js";
import type { Task } from "./task.js";

const SIZES = { train: 1000, validation: 1000, test: 2000 };
const HIDDEN = 64;

/** MNIST, 1,000 images to learn from. */
export function digits(): Task {
  const { images, labels, size } = readDigits();
  const entriesOf = (i: number): Entry[] => {
    const image = images.subarray(i * PIXELS, (i + 1) * PIXELS);
    const entries: Entry[] = [];
    for (const [pixel, value] of image.entries()) if (value !== 0) entries.push([pixel, value]);
    // Always 1: the hidden layer's biases.
    entries.push([PIXELS, 1]);
    return entries;
  };
  return {
    hidden: HIDDEN,
    batch: 32,
    schedule: "linear",
    sigma: { w1: Math.sqrt(2 / PIXELS), w2: Math.sqrt(2 / HIDDEN) },
    data: datasetOf(
      PIXELS + 1,
      CLASSES,
      Array.from({ length: size }, (_, i) => ({ entries: entriesOf(i), label: labels[i]! })),
    ),
    split: splitApart(size, SIZES).split,
  };
}
