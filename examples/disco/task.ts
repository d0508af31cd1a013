/** What the two clients train: a small network on digits, as a task of DISCO's. */
import disco, { type data, type Task, type tf } from "@epfml/discojs-node";
import type { FusedOptimizer } from "fused-adam/tfjs";
import { CLASSES, type Dataset, PIXELS } from "../shared/data.js";

export const TASK_ID = "digits";
export const LEARNING_RATE = 0.005;
/** A round is so many batches. */
const ROUND = 10;
const BATCH = 25;
const EPOCHS = 3;

/**
 * A client's task. `modelCompileData.optimizer` is declared as a name; DISCO hands it to `model.compile`, which takes an optimizer, too.
 * Moments belong to one model, so each client has an optimizer of its own, and with it a task.
 */
export function taskWith(optimizer: FusedOptimizer): Task {
  return {
    taskID: TASK_ID,
    displayInformation: {},
    trainingInformation: {
      modelID: "digits",
      dataType: "tabular",
      scheme: disco.TrainingSchemes.FEDERATED,
      epochs: EPOCHS,
      roundDuration: ROUND,
      batchSize: BATCH,
      validationSplit: 0,
      // DISCO assigns it to the optimizer's `learningRate`.
      learningRate: LEARNING_RATE,
      modelCompileData: {
        optimizer: optimizer as unknown as string,
        loss: "categoricalCrossentropy",
        metrics: ["accuracy"],
      },
    },
  };
}

/** The model that the server starts from: 784-32-10. */
export function createModel(): tf.LayersModel {
  const { layers, initializers, sequential } = disco.tf;
  const seeded = (seed: number) => initializers.glorotUniform({ seed });
  return sequential({
    layers: [
      layers.dense({ units: 32, activation: "relu", inputShape: [PIXELS], kernelInitializer: seeded(1) }),
      layers.dense({ units: CLASSES, activation: "softmax", kernelInitializer: seeded(2) }),
    ],
  });
}

/** Digits as DISCO's data. */
export async function dataOf({ images, labels, size }: Dataset, task: Task): Promise<data.DataSplit> {
  const rows = Array.from({ length: size }, (_, i) => ({
    xs: disco.tf.tensor1d(images.subarray(i * PIXELS, (i + 1) * PIXELS)),
    ys: disco.tf.tensor1d(Float32Array.from({ length: CLASSES }, (_, digit) => (labels[i] === digit ? 1 : 0))),
  }));
  return { train: await disco.data.TabularData.init(disco.tf.data.array(rows), task, size) };
}

/** Share of the digits that the model tells, in percent. */
export function accuracyOf(model: tf.LayersModel, { images, labels, size }: Dataset): number {
  const guesses = disco.tf.tidy(() => {
    const scores = model.predict(disco.tf.tensor2d(images, [size, PIXELS])) as tf.Tensor;
    return scores.argMax(1).dataSync();
  });
  return (100 * labels.filter((label, i) => label === guesses[i]).length) / size;
}
