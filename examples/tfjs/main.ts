import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as core from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { adamw, type FusedOptimizer } from "fused-adam/tfjs";
import { CLASSES, type Dataset, PIXELS } from "../shared/data.js";
import { loadDigits } from "../shared/digits.js";

// The same as `import * as tf from "@tensorflow/tfjs"`, without the backends that are not used here.
const tf = { ...core, ...layers };
setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
await tf.setBackend("wasm");

const { train, heldOut } = loadDigits(4000, 2000, 1);
const tensors = ({ images, labels, size }: Dataset) => ({
  x: tf.tensor2d(images, [size, PIXELS]),
  y: tf.oneHot(tf.tensor1d(Array.from(labels), "int32"), CLASSES),
});
const [{ x, y }, test] = [tensors(train), tensors(heldOut)];

const model = tf.sequential();
model.add(tf.layers.dense({ units: 128, activation: "relu", inputShape: [PIXELS] }));
model.add(tf.layers.dense({ units: CLASSES, activation: "softmax" }));

// A linear warm-up over 50 steps, then a cosine; half the rate for the first layer.
const [warmup, steps] = [50, (3 * train.size) / 32];
const lr = (step: number) => 0.004 * Math.min(step / warmup, 0.5 + 0.5 * Math.cos((Math.PI * step) / steps));
const optimizer = adamw(tf, {
  lr,
  weightDecay: 0.1,
  clipNorm: 1,
  lrFactor: (name) => (name.includes("Dense1/") ? 0.5 : 1),
});
model.compile({ optimizer, loss: "categoricalCrossentropy", metrics: ["accuracy"] });

async function run(model: layers.LayersModel, initialEpoch: number, epochs: number): Promise<void> {
  const optimizer = model.optimizer as FusedOptimizer;
  const onEpochEnd = (epoch: number, logs?: layers.Logs) => {
    const [loss, held, right] = [logs!.loss!, logs!.val_loss!, 100 * logs!.val_acc!].map((value) => value.toFixed(3));
    const [norm, rate] = [optimizer.lastStep!.gradNorm!.toFixed(2), optimizer.learningRate.toExponential(1)];
    console.log(
      `epoch ${epoch + 1}: loss ${loss}, held out ${held}, ${right} % right; gradient norm ${norm}, rate ${rate}`,
    );
  };
  const validationData: [core.Tensor, core.Tensor] = [test.x, test.y];
  await model.fit(x, y, { initialEpoch, epochs, batchSize: 32, verbose: 0, validationData, callbacks: { onEpochEnd } });
}

console.log(`${train.size} digits on the "${tf.getBackend()}" backend, ${optimizer.getClassName()}`);
await run(model, 0, 2);

// Saves the model with its optimizer: here into memory; with another handler into a file, a browser's storage or to a server.
let saved: core.io.ModelArtifacts;
const keep = tf.io.withSaveHandler(async (artifacts) => {
  saved = artifacts;
  return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
});
await model.save(keep, { includeOptimizer: true });

const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved!));
// A schedule is code and is not saved.
(loaded.optimizer as FusedOptimizer).learningRate = lr;
console.log(`saved and loaded: ${loaded.optimizer.getClassName()} after ${loaded.optimizer.iterations} steps`);
await run(loaded, 2, 3);
