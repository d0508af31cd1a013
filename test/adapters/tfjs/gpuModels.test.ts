/** Models on TensorFlow.js's webgl and webgpu backends: saved with their optimizer, loaded, trained on; state of `tf.train.adam`. */
import type { adam, adamw, TfjsOptions } from "fused-adam/tfjs";
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";
import type { tf as Tf } from "../../support/tfjs.js";

type Model = ReturnType<typeof Tf.sequential>;

interface Tools {
  tf: typeof Tf;
  make: { adam: typeof adam; adamw: typeof adamw };
  wave(length: number, seed: number): Float32Array;
  options: Record<string, TfjsOptions>;
  /** Convolution, batch norm where it is asked for, dense. */
  network(withNorm: boolean): Model;
  /** Batches of 8, of which one in three has an infinity in it if that is asked for. */
  trainOn(model: Model, epochs: number, bad?: boolean): Promise<void>;
  /** As a file holds it. */
  save(model: Model): Promise<Parameters<typeof Tf.io.fromMemory>[0]>;
  /** Values of the model, then of its optimizer. */
  valuesOf(model: Model): Promise<number[][]>;
}

const OPTIONS = ["defaults", "everything", "rules", "schedule"];

const PAGE = `
import * as core from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import * as layers from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { adam, adamw } from "fused-adam/tfjs";
const tf = { ...core, ...layers };
console.warn = () => {};
const wave = (length, seed) => Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + seed));
Object.assign(globalThis, {
  tf, make: { adam, adamw }, wave,
  options: {
    defaults: {},
    everything: { lr: 0.003, betas: [0.8, 0.99], eps: 1e-6, weightDecay: 0.1, amsgrad: true, clipNorm: 0.5, gradScale: 2 },
    rules: { decay: (name) => name.includes("bias"), lrFactor: (name) => (name.includes("kernel") ? 0.5 : 2) },
    schedule: { lr: (step) => 0.02 / step, skipNonFinite: true },
  },
  network(withNorm) {
    const init = (seed) => tf.initializers.glorotUniform({ seed });
    return tf.sequential({
      layers: [
        tf.layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [6, 6, 2], kernelInitializer: init(1) }),
        ...(withNorm ? [tf.layers.batchNormalization()] : []),
        tf.layers.flatten(),
        tf.layers.dense({ units: 4, activation: "softmax", kernelInitializer: init(2) }),
      ],
    });
  },
  async trainOn(model, epochs, bad = false) {
    const values = wave(24 * 72, 1);
    if (bad) values[10 * 72] = Infinity;
    const x = tf.tensor(values, [24, 6, 6, 2]);
    const y = tf.oneHot(tf.tensor1d([...Array(24).keys()].map((i) => i % 4), "int32"), 4);
    await model.fit(x, y, { epochs, batchSize: 8, shuffle: false, verbose: 0 });
    tf.dispose([x, y]);
  },
  async save(model) {
    let saved;
    await model.save(tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }), { includeOptimizer: true });
    const { weightData, ...rest } = saved;
    return { ...JSON.parse(JSON.stringify(rest)), weightData: weightData.slice(0) };
  },
  async valuesOf(model) {
    const weights = await model.optimizer.getWeights();
    const tensors = [...model.getWeights(), ...weights.map(({ tensor }) => tensor)];
    return Promise.all(tensors.map(async (tensor) => [...await tensor.data()]));
  },
  ready: true,
});
`;

describe("in Chromium, on SwiftShader", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);

  describe.each(["webgl", "webgpu"])("%s", (backend) => {
    it.each(OPTIONS)("save, load, go on: bit for bit as without; %s", async (name) => {
      const { configs, unloaded, ...seen } = await call(
        async ({ tf, make, options, network, trainOn, save, valuesOf }, [backend, name]) => {
          await tf.setBackend(backend);
          const model = network(true);
          model.compile({ optimizer: make.adamw(tf, options[name]), loss: "categoricalCrossentropy" });
          await trainOn(model, 2);
          const saved = await save(model);
          await trainOn(model, 1);
          const before = tf.memory().numTensors;
          await save(model);
          const after = tf.memory().numTensors;
          const loaded = (await tf.loadLayersModel(tf.io.fromMemory(saved))) as Model;
          const unloaded = loaded.optimizer.iterations;
          const config = (saved as { trainingConfig: { optimizer_config: { config: object } } }).trainingConfig;
          const configs = [loaded.optimizer.getConfig(), config.optimizer_config.config] as object[];
          // A schedule is code and is not saved.
          if (name === "schedule") Object.assign(loaded.optimizer, { learningRate: options[name]!.lr });
          await trainOn(loaded, 1);
          const values = [await valuesOf(loaded), await valuesOf(model)];
          const iterations = [loaded.optimizer.iterations, model.optimizer.iterations];
          for (const { optimizer } of [loaded, model]) optimizer.dispose();
          tf.disposeVariables();
          return { configs, unloaded, counts: [before, after], values, iterations };
        },
        [backend, name] as const,
      );
      expect(unloaded).toBe(6);
      expect(seen.iterations).toEqual([9, 9]);
      expect(seen.counts[1]).toBe(seen.counts[0]);
      const [here, inFile] = configs.map((config) => ({ ...config, schedule: undefined }));
      expect(here).toEqual(inFile);
      const [loaded, expected] = seen.values;
      expect(loaded).toEqual(expected);
      expect(expected!.flat().every(Number.isFinite)).toBe(true);
    });

    it("saved while steps that were skipped are in flight: the steps taken, and bit for bit on", async () => {
      const seen = await call(async ({ tf, make, network, trainOn, save, valuesOf }, backend) => {
        await tf.setBackend(backend);
        const model = network(false);
        model.compile({ optimizer: make.adamw(tf, { skipNonFinite: true }), loss: "categoricalCrossentropy" });
        await trainOn(model, 2, true);
        const loaded = (await tf.loadLayersModel(tf.io.fromMemory(await save(model)))) as Model;
        const taken = loaded.optimizer.iterations;
        for (const each of [model, loaded]) await trainOn(each, 1, true);
        const values = [await valuesOf(loaded), await valuesOf(model)];
        for (const { optimizer } of [loaded, model]) optimizer.dispose();
        tf.disposeVariables();
        return { taken, values };
      }, backend);
      expect(seen.taken).toBe(4);
      expect(seen.values[0]).toEqual(seen.values[1]);
      expect(seen.values[0]!.flat().every(Number.isFinite)).toBe(true);
    });

    it("weights of a tf.train.adam that trains here: the cpu backend's bits from the same values, and it keeps its own", async () => {
      const seen = await call(async ({ tf, make, wave }, backend) => {
        await tf.setBackend(backend);
        const theirs = tf.train.adam(0.01);
        const shape: [number, number] = [3, 5];
        const variable = tf.tidy(() => tf.variable(tf.tensor(wave(15, 1), shape), true, "w"));
        const step = (optimizer: { applyGradients(gradients: never): void }, seed: number) =>
          optimizer.applyGradients([{ name: "w", tensor: tf.tensor(wave(15, seed), shape) }] as never);
        for (let i = 0; i < 3; i++) step(theirs, i);
        const weights = await theirs.getWeights();
        const read = (tensors: { data(): Promise<ArrayLike<number>> }[]) =>
          Promise.all(tensors.map(async (tensor) => Array.from(await tensor.data())));
        const lent = weights.map(({ tensor }) => tensor);
        const [start, ...before] = await read([variable, ...lent]);

        const train = async () => {
          const optimizer = make.adam(tf, { lr: 0.01, eps: 1e-7 });
          await optimizer.setWeights(weights);
          for (let i = 3; i < 8; i++) step(optimizer, i);
          const values = await read([variable, ...(await optimizer.getWeights()).map(({ tensor }) => tensor)]);
          optimizer.dispose();
          return values;
        };
        const here = await train();
        const after = await read(lent);
        variable.assign(tf.tensor(start!, shape));
        await Promise.all([variable, ...lent].map((tensor) => tensor.data()));
        await tf.setBackend("cpu");
        const expected = await train();
        tf.disposeVariables();
        return { here, expected, before, after };
      }, backend);
      expect(seen.here).toEqual(seen.expected);
      expect(seen.here[1]).toEqual([8]);
      expect(seen.after).toEqual(seen.before);
    });
  });
});
