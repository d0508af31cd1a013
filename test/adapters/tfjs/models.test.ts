/** Models of tfjs-layers: compile, fit, save with the optimizer, load, go on. */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { adam, adamw, type FusedOptimizer, register, type TfjsOptions } from "fused-adam/tfjs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadDigits } from "../../../examples/shared/digits.js";
import { caught, expectError, rangeError, stateError, typeError } from "../../support/api.js";
import { fileUnless, notBuilt, ranInVitest, unless } from "../../support/host.js";
import { type BackendName, tf, use } from "../../support/tfjs.js";

fileUnless(ranInVitest("is mostly TensorFlow.js at work, and takes long"));

type Model = ReturnType<typeof tf.sequential>;
type Artifacts = Parameters<NonNullable<ReturnType<typeof tf.io.withSaveHandler>["save"]>>[0];

/** Three dense layers, and a norm that has variables which are not trained. (tfjs's wasm backend cannot train convolutions.) */
function network(): Model {
  const seeded = (seed: number) => tf.initializers.glorotUniform({ seed });
  return tf.sequential({
    layers: [
      tf.layers.dense({ units: 24, inputShape: [784], activation: "relu", kernelInitializer: seeded(1) }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 16, activation: "relu", kernelInitializer: seeded(2) }),
      tf.layers.dense({ units: 10, activation: "softmax", kernelInitializer: seeded(3) }),
    ],
  });
}

const { train } = loadDigits(384, 0, 1);

/** Batches of 32, 4 an epoch unless there are more images. */
async function trainOn(model: Model, epochs: number, images = 128): Promise<number[]> {
  const x = tf.tensor2d(train.images.subarray(0, images * 784), [images, 784]);
  const y = tf.oneHot(tf.tensor1d(Array.from(train.labels.subarray(0, images)), "int32"), 10);
  const { history } = await model.fit(x, y, { epochs, batchSize: 32, shuffle: false, verbose: 0 });
  tf.dispose([x, y]);
  return history.loss as number[];
}

const weightsOf = (model: Model) => model.getWeights().map((weight) => [...weight.dataSync()]);
const compile = (model: Model, optimizer: Model["optimizer"]) =>
  model.compile({ optimizer, loss: "categoricalCrossentropy" });

/** What a file would hold: the weights' bytes, and the rest as JSON. */
async function save(model: Model): Promise<Artifacts> {
  let saved: Artifacts;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  });
  await model.save(handler, { includeOptimizer: true });
  const { weightData, ...rest } = saved!;
  return { ...JSON.parse(JSON.stringify(rest)), weightData: (weightData as ArrayBuffer).slice(0) };
}

const load = (artifacts: Artifacts) => tf.loadLayersModel(tf.io.fromMemory(artifacts)) as Promise<Model>;

interface OptimizerConfig {
  class_name: string;
  config: Record<string, unknown>;
}

const optimizerOf = ({ trainingConfig }: Artifacts) => trainingConfig!.optimizer_config as unknown as OptimizerConfig;

/** What was saved, its optimizer's configuration changed. */
function edited(artifacts: Artifacts, change: (config: OptimizerConfig) => void): Artifacts {
  const copy = structuredClone(artifacts);
  change(optimizerOf(copy));
  return copy;
}

const BACKENDS: readonly BackendName[] = ["cpu", "wasm"];
describe.each(BACKENDS)("%s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  it("model.fit on 384 digits, 4 epochs: each epoch's loss is tf.train.adam's within 1e-4 of it", async () => {
    const optimizers = [tf.train.adam(0.01, 0.9, 0.999, 1e-7), adam(tf, { lr: 0.01, eps: 1e-7 })];
    const losses: number[][] = [];
    for (const optimizer of optimizers) {
      const model = network();
      compile(model, optimizer);
      losses.push(await trainOn(model, 4, 384));
      tf.disposeVariables();
    }
    losses[1]!.forEach((loss, i) => {
      expect(Math.abs(loss / losses[0]![i]! - 1)).toBeLessThan(1e-4);
    });
    expect(losses[1]!.at(-1)).toBeLessThan(0.5 * losses[1]![0]!);
  });

  const OPTIONS: Record<string, TfjsOptions> = {
    defaults: {},
    everything: {
      lr: 0.003,
      betas: [0.8, 0.99],
      eps: 1e-6,
      weightDecay: 0.1,
      amsgrad: true,
      clipNorm: 1,
      gradScale: 2,
    },
    "the rest": { maximize: false, biasCorrection: false, skipNonFinite: true },
    rules: {
      lr: 0.003,
      decay: (name) => name.includes("bias"),
      lrFactor: (name) => (name.includes("kernel") ? 0.5 : 2),
    },
  };
  it.each(Object.entries(OPTIONS))("save, load, go on: bit for bit as without; %s", async (_, options) => {
    const model = network();
    compile(model, adamw(tf, options));
    await trainOn(model, 1);
    const saved = await save(model);
    await trainOn(model, 1);
    const { numTensors } = tf.memory();
    await save(model);
    expect(tf.memory().numTensors).toBe(numTensors);

    const loaded = await load(saved);
    expect(loaded.optimizer.iterations).toBe(4);
    expect(loaded.optimizer.getConfig()).toEqual(optimizerOf(saved).config);
    await trainOn(loaded, 1);
    expect(weightsOf(loaded)).toEqual(weightsOf(model));
    expect(loaded.optimizer.constructor).toBe(adamw(tf).constructor);
  });

  it("steps that differ between variables are saved, too", async () => {
    const model = network();
    const optimizer = adam(tf, { lr: 0.01 });
    compile(model, optimizer);
    await trainOn(model, 1);
    // Frozen, the first layers' variables have no gradient for a while.
    for (const layer of model.layers.slice(0, 2)) layer.trainable = false;
    compile(model, optimizer);
    await trainOn(model, 1);
    const saved = await save(model);
    const { iterations, variables } = optimizerOf(saved).config as unknown as {
      iterations: number;
      variables: { step: number }[];
    };
    expect([iterations, ...variables.map(({ step }) => step)]).toEqual([8, 4, 4, 4, 4, 8, 8, 8, 8]);
    const loaded = await load(saved);
    for (const each of [model, loaded]) {
      for (const layer of each.layers) layer.trainable = true;
      compile(each, each.optimizer);
      await trainOn(each, 1);
    }
    expect(weightsOf(loaded)).toEqual(weightsOf(model));
  });

  it("a model saved with tf.train.adam: its optimizer's state goes on here, within 1e-4 of its loss", async () => {
    const model = network();
    compile(model, tf.train.adam(0.01, 0.9, 0.999, 1e-7));
    await trainOn(model, 2);
    const saved = await save(model);
    const expected = await trainOn(model, 2);

    const loaded = await load(saved);
    const optimizer = adam(tf, { lr: 0.01, eps: 1e-7 });
    await optimizer.setWeights(await loaded.optimizer.getWeights());
    compile(loaded, optimizer);
    const losses = await trainOn(loaded, 2);
    expect(optimizer.iterations).toBe(16);
    losses.forEach((loss, i) => {
      expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(1e-4);
    });
  });

  it("a model saved with ours, its class name changed to Adam, loads as tf.train.adam, within 1e-4 of our loss", async () => {
    const model = network();
    compile(model, adam(tf, { lr: 0.01, eps: 1e-7 }));
    await trainOn(model, 2);
    const saved = await save(model);
    expect(optimizerOf(saved).class_name).toBe("FusedAdam");
    const expected = await trainOn(model, 2);

    const loaded = await load(
      edited(saved, (config) => {
        config.class_name = "Adam";
      }),
    );
    expect(loaded.optimizer).toBeInstanceOf(tf.AdamOptimizer);
    const losses = await trainOn(loaded, 2);
    losses.forEach((loss, i) => {
      expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(1e-4);
    });
    expect(loaded.optimizer.iterations).toBe(16);
  });
});

describe("configurations", () => {
  beforeEach(() => use("wasm"));
  afterEach(() => tf.disposeVariables());

  const trained = async (options: TfjsOptions) => {
    const model = network();
    compile(model, adamw(tf, options));
    await trainOn(model, 1);
    return save(model);
  };

  it("a schedule is saved as its last value, and loading says so once", async () => {
    const said = vi.spyOn(console, "warn").mockImplementation(() => {});
    const saved = await trained({ lr: (step) => 0.01 / step });
    for (let i = 0; i < 2; i++) {
      const { optimizer } = await load(saved);
      expect((optimizer as unknown as { learningRate: number }).learningRate).toBe(0.01 / 4);
    }
    expect(said.mock.calls).toEqual([
      [expect.stringContaining(`the constant ${0.01 / 4} until learningRate is assigned`)],
    ]);
    said.mockRestore();
  });

  it("a schedule of the weight decay likewise", async () => {
    const said = vi.spyOn(console, "warn").mockImplementation(() => {});
    const saved = await trained({ weightDecay: (step) => 0.5 / step });
    for (let i = 0; i < 2; i++) {
      const { optimizer } = await load(saved);
      expect((optimizer as unknown as FusedOptimizer).getConfig()).toMatchObject({ weightDecay: 0.5 / 4 });
    }
    expect(said.mock.calls).toEqual([
      [expect.stringMatching(/whose weight decay followed a schedule, .* the constant 0\.125$/)],
    ]);
    said.mockRestore();
  });

  it("own rules: what they said of each variable is kept; a variable they were not asked about is refused", async () => {
    const saved = await trained({ lrFactor: () => 0.5 });
    const loaded = await load(saved);
    await trainOn(loaded, 1);
    const { optimizer } = loaded;
    const { numTensors } = tf.memory();
    const extra = tf.tidy(() => tf.variable(tf.ones([2]), true, "extra"));
    const gradients = { extra: tf.ones([2]) };
    const error = await caught(() => optimizer.applyGradients(gradients));
    expectError(error, stateError("decay, lrFactor", "ERR_STATE_MISMATCH"));
    tf.dispose([extra, gradients]);
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  const WRONG: Record<string, [(config: Record<string, unknown>) => void, Parameters<typeof expectError>[1]]> = {
    "an unknown key": [(config) => Object.assign(config, { momentum: 1 }), typeError("config", "ERR_UNKNOWN_OPTION")],
    "a rate that is none": [(config) => Object.assign(config, { learningRate: "0.1" }), typeError("lr")],
    "a beta of 1": [(config) => Object.assign(config, { beta1: 1 }), rangeError("betas[0]")],
    "variables that are none": [
      (config) => Object.assign(config, { variables: [3] }),
      typeError("config.variables[0]"),
    ],
    "a step that is none": [
      (config) => Object.assign(config, { variables: [{ name: "a", step: -1, decay: true, lrFactor: 1 }] }),
      rangeError("config.variables[0].step"),
    ],
  };
  it.each(Object.entries(WRONG))("%s: refused", async (_, [spoil, expected]) => {
    const saved = await trained({});
    expectError(await caught(() => load(edited(saved, ({ config }) => spoil(config)))), expected);
  });

  it("rules given to register are asked about variables that have no saved one: the bits of the model that was saved", async () => {
    const decay = (name: string) => name.includes("bias");
    const lrFactor = (_: string, shape: readonly number[]) => shape.length;
    const model = network();
    // It has never stepped, so no rule was asked, and nothing of rules is saved.
    compile(model, adamw(tf, { lr: 0.01, weightDecay: 0.5, decay, lrFactor }));
    const saved = await save(model);
    const unruly = await load(saved);
    expectError(await caught(() => trainOn(unruly, 1)), stateError("decay, lrFactor", "ERR_STATE_MISMATCH"));
    expectError(await caught(() => register(tf, { decay: true } as never)), typeError("decay"));
    expectError(await caught(() => register(tf, { lr: 1 } as never)), typeError("rules", "ERR_UNKNOWN_OPTION"));
    register(tf, { decay, lrFactor });
    const loaded = await load(saved);
    await trainOn(model, 2);
    await trainOn(loaded, 2);
    expect(weightsOf(loaded)).toEqual(weightsOf(model));
    // And saved again, with what they said.
    const again = await load(await save(loaded));
    await trainOn(model, 1);
    await trainOn(again, 1);
    expect(weightsOf(again)).toEqual(weightsOf(model));
  });

  it("a process that only loads needs register(tf), and no more", unless(notBuilt), async () => {
    const saved = await trained({ lr: 0.005 });
    const text = JSON.stringify({ ...saved, weightData: [...new Uint8Array(saved.weightData as ArrayBuffer)] });
    const file = fileURLToPath(new URL("../../../build/register.json", import.meta.url));
    writeFileSync(file, text);
    const code = `
      import * as core from "@tensorflow/tfjs-core";
      import * as layers from "@tensorflow/tfjs-layers";
      import "@tensorflow/tfjs-backend-cpu";
      import { readFileSync } from "node:fs";
      import { register } from "fused-adam/tfjs";
      const tf = { ...core, ...layers };
      const artifacts = JSON.parse(readFileSync(${JSON.stringify(file)}));
      artifacts.weightData = Uint8Array.from(artifacts.weightData).buffer;
      const load = () => tf.loadLayersModel(tf.io.fromMemory(artifacts));
      const before = await load().catch((error) => error.message);
      register(tf);
      const { optimizer } = await load();
      console.log(JSON.stringify([before, optimizer.learningRate, optimizer.iterations]));
    `;
    const cwd = fileURLToPath(new URL("../../..", import.meta.url));
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd,
      encoding: "utf8",
      stdio: "pipe",
    });
    const [before, ...after] = JSON.parse(printed.trim().split("\n").at(-1)!);
    expect(before).toContain("FusedAdamW");
    expect(after).toEqual([0.005, 4]);
    rmSync(file);
  });
});
