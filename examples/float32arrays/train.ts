import { type NeuralNetwork, Tensor } from "toygrad";
import { type Dataset, PIXELS } from "../shared/data.js";

/** An image as toygrad takes it: a view, one channel. */
function imageAt({ images }: Dataset, index: number): Tensor {
  return new Tensor(1, 1, PIXELS, images.subarray(index * PIXELS, (index + 1) * PIXELS));
}

/**
 * One pass over the data in batches: forward and backward for each image, then `step` with their number.
 *
 * @returns mean cross entropy, computed for each image before the step of its batch
 */
export function trainEpoch(
  network: NeuralNetwork,
  data: Dataset,
  batchSize: number,
  step: (size: number) => void,
): number {
  let loss = 0;
  for (let first = 0; first < data.size; first += batchSize) {
    const end = Math.min(first + batchSize, data.size);
    for (let index = first; index < end; index++) {
      network.forward(imageAt(data, index), true);
      loss += network.backward(data.labels[index]!);
    }
    step(end - first);
  }
  return loss / data.size;
}

/** Share of right answers. */
export function accuracy(network: NeuralNetwork, data: Dataset): number {
  let right = 0;
  for (let index = 0; index < data.size; index++) {
    const { w } = network.forward(imageAt(data, index), false);
    if (w.indexOf(Math.max(...w)) === data.labels[index]) right++;
  }
  return right / data.size;
}
