import { type Dataset, PIXELS } from "../shared/data.js";
import { loadDigits } from "../shared/digits.js";
import { evaluate, initialValues, lossAndGradients, type Tensors as Model } from "../shared/model.js";
import { createRng, permutation } from "../shared/rng.js";
import { batchesOf } from "../shared/run.js";
import { HELD_OUT_SIZE, SEED, TRAIN_SIZE } from "../shared/task.js";
import type { Task } from "./task.js";

/** MNIST digits, by the network of the other examples. A seed decides starting values and batches. */
export function digits(): Task {
  const { train, heldOut } = loadDigits(TRAIN_SIZE, HELD_OUT_SIZE, SEED);
  const evaluated = { train: first(HELD_OUT_SIZE, train), heldOut };
  return {
    steps: 1500,
    lr: 1e-3,
    start(seed) {
      const rng = createRng(seed);
      const initial = initialValues(rng);
      let batches: Uint32Array[] = [];
      return {
        initial,
        backward(params, grads) {
          if (batches.length === 0) batches = batchesOf(train.size, permutation(train.size, rng));
          lossAndGradients(params as Model, grads as Model, train, batches.pop()!);
        },
        evaluate: (params) => ({
          train: evaluate(params as Model, evaluated.train).loss,
          heldOut: evaluate(params as Model, evaluated.heldOut).loss,
        }),
      };
    },
  };
}

function first(size: number, { images, labels }: Dataset): Dataset {
  return { images: images.subarray(0, size * PIXELS), labels: labels.subarray(0, size), size };
}
