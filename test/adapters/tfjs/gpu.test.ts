/** Steps on a GPU: TensorFlow.js's webgl and webgpu backends in Chromium, on a device whose arithmetic is IEEE's. */
import type { adam, adamw, FusedOptimizer, TfjsOptions } from "fused-adam/tfjs";
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";
import type { tf as Tf } from "../../support/tfjs.js";

interface Run {
  /** Values of the variables, then of the weights. */
  readonly values: number[][];
  readonly iterations: number;
  readonly lastStep: { step: number; skipped: boolean; gradNorm?: number };
  /** Synchronous reads by the steps. */
  readonly reads: number;
}

interface Case {
  readonly make?: "adam" | "adamw";
  readonly options: Omit<TfjsOptions, "lr" | "weightDecay"> & {
    readonly lr?: number | "cosine";
    readonly weightDecay?: number | "cosine";
  };
  /** Whether variables differ in decay and rate, and the rate is assigned in the middle. */
  readonly rules?: boolean;
  readonly steps?: number;
  /** In which steps a gradient is not finite. */
  readonly bad?: number[];
  /** Whether some variables have no gradient in some steps. */
  readonly sparse?: boolean;
  /** Whether the host waits after each step. */
  readonly waits?: boolean;
}

interface Tools {
  tf: typeof Tf;
  make: { adam: typeof adam; adamw: typeof adamw };
  said: string[];
  run(backend: string, options: Case): Promise<Run>;
  wave(length: number, seed: number): Float32Array;
}

const PAGE = `
import * as core from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import * as layers from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { adam, adamw } from "fused-adam/tfjs";
const tf = { ...core, ...layers };
const said = [];
console.warn = (...args) => said.push(args.join(" "));
const SHAPES = [[33, 7], [65], [], [3, 3, 5, 7], [1, 9], [0, 4], [1], [2, 3, 4], [1, 2, 1, 3, 2]];
const wave = (length, seed) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + seed) * Math.exp(3 * Math.cos(3 * i + seed)));
const make = { adam, adamw };
const cosine = (step) => 0.01 * (1 + Math.cos(step / 20));
Object.assign(globalThis, {
  tf, make, said, wave,
  async run(backend, { make: kind = "adamw", options, rules = false, steps = 40, bad = [], sparse = false, waits = false }) {
    await tf.setBackend(backend);
    const variables = SHAPES.map((shape, i) =>
      tf.tidy(() => tf.variable(tf.tensor(wave(tf.util.sizeFromShape(shape), i), shape, "float32"))));
    const [decay, lrFactor] = [(_, shape) => shape.length === 1, (_, shape) => [1, 0, 0.5, 3][shape.length] ?? 2];
    const decayed = options.weightDecay === "cosine" && { weightDecay: (step) => (step % 4 === 0 ? 0 : 10 * cosine(step)) };
    const given = { ...options, ...(options.lr === "cosine" && { lr: cosine }), ...decayed, ...(rules && { decay, lrFactor }) };
    const optimizer = make[kind](tf, given);
    const { readSync } = tf.backend();
    let reads = 0;
    if (backend !== "cpu") tf.backend().readSync = function (...args) { reads++; return readSync.apply(this, args); };
    for (let step = 0; step < steps; step++) {
      if (rules && step === 9) optimizer.learningRate = 0.002;
      if (rules && step === 18) optimizer.learningRate = cosine;
      const without = !sparse ? [] : step % 3 === 0 ? [0, 4] : step % 5 === 0 ? [3] : [];
      const gradients = variables.map(({ name, shape, size }, i) => {
        const values = wave(size, step * 10 + i);
        if (bad.includes(step) && i === 1) values[7] = step % 2 ? NaN : -Infinity;
        return { name, tensor: without.includes(i) ? null : tf.tensor(values, shape, "float32") };
      });
      optimizer.applyGradients(gradients);
      for (const { tensor } of gradients) tensor?.dispose();
      if (waits) await optimizer.settled();
    }
    const weights = await optimizer.getWeights();
    if (backend !== "cpu") tf.backend().readSync = readSync;
    const values = [];
    for (const tensor of [...variables, ...weights.map(({ tensor }) => tensor)]) values.push([...await tensor.data()]);
    const { lastStep, iterations } = optimizer;
    optimizer.dispose();
    tf.dispose(variables);
    return { values, iterations, lastStep, reads };
  },
  ready: true,
});
`;

const BACKENDS = ["webgl", "webgpu"] as const;

describe("in Chromium", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);
  const run = (backend: string, options: Case) =>
    call(({ run }, [backend, options]) => run(backend, options), [backend, options] as const);

  const CASES: Record<string, Case> = {
    defaults: { options: {} },
    coupled: { make: "adam", options: { lr: 0.01, weightDecay: 0.1 } },
    "decoupled, other hyper-parameters": { options: { lr: 0.01, betas: [0.8, 0.97], eps: 1e-3, weightDecay: 0.25 } },
    amsgrad: { options: { amsgrad: true, lr: 0.02 } },
    "amsgrad, coupled": { make: "adam", options: { amsgrad: true, weightDecay: 0.3 } },
    "ascent without bias correction, scaled": { options: { maximize: true, biasCorrection: false, gradScale: 8 } },
    "no epsilon": { options: { eps: 0 } },
    "a schedule": { options: { lr: "cosine" }, sparse: true },
    "a schedule of the decay": { options: { weightDecay: "cosine" }, sparse: true },
    "a schedule of the coupled decay": { make: "adam", options: { weightDecay: "cosine" }, sparse: true },
    "own rules, other rates between steps": { options: { weightDecay: 0.2 }, rules: true },
  };
  describe.each(BACKENDS)("%s", (backend) => {
    it.each(Object.entries(CASES))(
      "%s: the bits of the cpu backend, and nothing read in a step",
      async (_, options) => {
        const { reads, ...result } = await run(backend, options);
        const { reads: _reads, ...expected } = await run("cpu", options);
        expect(result).toEqual(expected);
        expect(reads).toBe(0);
      },
    );

    const SKIPS: Record<string, Case> = {
      "1 step": { options: { skipNonFinite: true, lr: "cosine" }, steps: 1, bad: [0] },
      "5 steps, a schedule of the decay": {
        options: { skipNonFinite: true, weightDecay: "cosine" },
        steps: 5,
        bad: [1, 4],
      },
      "5 steps": { options: { skipNonFinite: true, lr: "cosine" }, steps: 5, bad: [1, 4] },
      "40 steps": { options: { skipNonFinite: true, lr: "cosine" }, bad: [3, 4, 9, 30] },
      "40 steps, each awaited": { options: { skipNonFinite: true, lr: "cosine" }, bad: [3, 4, 9, 30], waits: true },
      "40 steps of changing variables": {
        options: { skipNonFinite: true, lr: "cosine", amsgrad: true },
        bad: [3, 4, 9, 30, 31],
        sparse: true,
      },
      "40 steps, own rules, other rates between them": {
        options: { skipNonFinite: true, weightDecay: 0.2 },
        bad: [3, 4, 9, 30],
        rules: true,
      },
      "40 steps, a limit that is not reached": { options: { clipNorm: 1e9, lr: "cosine" }, bad: [3, 4, 9, 30] },
    };
    it.each(Object.entries(SKIPS))(
      "%s in flight, some not finite: the bits of the cpu backend, the norm within 1e-6",
      async (_, options) => {
        const result = await run(backend, options);
        const expected = await run("cpu", options);
        expect(result.values).toEqual(expected.values);
        expect([result.iterations, result.reads]).toEqual([expected.iterations, 0]);
        const { gradNorm, ...rest } = result.lastStep;
        const { gradNorm: norm, ...others } = expected.lastStep;
        expect(rest).toEqual(others);
        if (Number.isFinite(norm)) expect(Math.abs(gradNorm! / norm! - 1)).toBeLessThan(1e-6);
        else expect(gradNorm).toBe(norm);
      },
    );

    it("moments that fade are zero by step 64, when the core flushes subnormals: the bits of the cpu backend", async () => {
      const fade = (backend: string) =>
        call(async ({ tf, make }, backend) => {
          await tf.setBackend(backend);
          const variable = tf.tidy(() => tf.variable(tf.ones([5])));
          const optimizer = make.adamw(tf, { betas: [0.5, 0.6], amsgrad: true });
          for (let step = 0; step < 64; step++) {
            const tensor = tf.tensor([1e-19, 3e-20, 1e-30, 0, 1e-16].map((value) => (step === 0 ? value : 0)));
            optimizer.applyGradients([{ name: variable.name, tensor }]);
            tensor.dispose();
          }
          const tensors = [variable, ...(await optimizer.getWeights()).map(({ tensor }) => tensor)];
          const values = await Promise.all(tensors.map(async (tensor) => [...(await tensor.data())]));
          optimizer.dispose();
          variable.dispose();
          return values;
        }, backend);
      const expected = await fade("cpu");
      expect(await fade(backend)).toEqual(expected);
      expect(expected[2]!.slice(0, 4)).toEqual([0, 0, 0, 0]);
    });

    it("gradients of any size are clipped to a norm, within 1e-5, and their norm is told, within 1e-6", async () => {
      const norms = await call(async ({ tf, make }, backend) => {
        await tf.setBackend(backend);
        const seen: [number, number, number][] = [];
        for (const size of [1e-36, 1e-25, 1, 1e18, 1e25, 1e33]) {
          const variable = tf.tidy(() => tf.variable(tf.zeros([300])));
          const optimizer = make.adamw(tf, { clipNorm: 1e-3, betas: [0, 0.999], gradScale: 2 });
          const values = Float32Array.from({ length: 300 }, () => size);
          optimizer.applyGradients([{ name: variable.name, tensor: tf.tensor(values) }]);
          const { gradNorm } = (await optimizer.settled())!;
          // With beta1 = 0 the first moment is the clipped gradient.
          const [, m] = await optimizer.getWeights();
          const clipped = (await m!.tensor.data())[0]!;
          seen.push([gradNorm!, (values[0]! * Math.sqrt(300)) / 2, clipped * Math.sqrt(300)]);
          optimizer.dispose();
          variable.dispose();
        }
        return seen;
      }, backend);
      for (const [told, norm, clipped] of norms) {
        expect(Math.abs(told / norm - 1)).toBeLessThan(1e-6);
        if (norm > 1e-3) expect(Math.abs(clipped / 1e-3 - 1)).toBeLessThan(1e-5);
      }
    });

    it("what shares a variable's data, or is its own gradient, keeps the old values", async () => {
      const seen = await call(async ({ tf, make }, backend) => {
        await tf.setBackend(backend);
        const initial = tf.tensor([1, 2, 3, 4]);
        const variable = tf.variable(initial);
        const other = tf.variable(tf.zeros([4]));
        // Without the first beta the first moment is the gradient.
        const optimizer = make.adamw(tf, { lr: 0.5, weightDecay: 0, betas: [0, 0.999] });
        const gradientOf = async () => [...(await (await optimizer.getWeights())[2]!.tensor.data())];
        const step = (tensor: typeof initial) =>
          optimizer.applyGradients([
            { name: other.name, tensor: tf.ones([4]) },
            { name: variable.name, tensor },
          ]);
        step(tf.ones([4]));
        const clone = variable.clone();
        const flat = tf.reshape(variable, [2, 2]);
        const complex = tf.complex(variable, variable);
        const assigned = tf.variable(tf.zeros([4]));
        assigned.assign(variable);
        const used: number[][] = [];
        for (const gradient of [other, variable]) {
          const values = [...(await gradient.data())];
          step(gradient);
          used.push(values, await gradientOf());
        }
        const moment = (await optimizer.getWeights())[2]!.tensor;
        const [lent] = [moment.clone()];
        const before = [...(await lent.data())];
        step(tf.ones([4]));
        const old = await Promise.all(
          [initial, clone, flat, tf.real(complex), assigned].map((tensor) => tensor.data()),
        );
        return {
          old: old.map((values) => [...values]),
          lent: [before, [...(await lent.data())]],
          used,
        };
      }, backend);
      const [initial, ...shared] = seen.old;
      expect(initial).toEqual([1, 2, 3, 4]);
      for (const values of shared) expect(values).toEqual([0.5, 1.5, 2.5, 3.5]);
      expect(seen.lent[1]).toEqual(seen.lent[0]);
      expect(seen.used[0]).toEqual([-0.5, -0.5, -0.5, -0.5]);
      expect(seen.used[1]).toEqual(seen.used[0]);
      expect(seen.used[3]).toEqual(seen.used[2]);
    });

    it("odd shapes without epsilon: what TensorFlow.js computes with them has the cpu backend's values", async () => {
      const products = (backend: string) =>
        call(async ({ tf, make, wave }, backend) => {
          await tf.setBackend(backend);
          const matrix = tf.tidy(() => tf.variable(tf.tensor(wave(15, 1), [3, 5])));
          const row = tf.tidy(() => tf.variable(tf.tensor(wave(5, 2))));
          const optimizer = make.adamw(tf, { eps: 0, lr: 0.125, weightDecay: 0, betas: [0, 0] });
          for (let step = 0; step < 2; step++) {
            const gradients = [matrix, row].map(({ name, shape }) => ({ name, tensor: tf.ones(shape) }));
            optimizer.applyGradients(gradients);
          }
          const list = [tf.matMul(tf.ones([3, 3]), matrix), tf.matMul(matrix, tf.ones([5, 1])), tf.add(matrix, row)];
          return Promise.all([...list, tf.sum(row)].map(async (tensor) => [...(await tensor.data())]));
        }, backend);
      const [here, expected] = [await products(backend), await products("cpu")];
      here.forEach((values, i) => {
        values.forEach((value, j) => {
          expect(Math.abs(value - expected[i]![j]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(expected[i]![j]!)));
        });
      });
    });

    it("a read under way when a step is taken gets what was there; reads after it get what is", async () => {
      const [during, after, again] = await call(async ({ tf, make }, backend) => {
        await tf.setBackend(backend);
        const variable = tf.tidy(() => tf.variable(tf.zeros([3])));
        const optimizer = make.adamw(tf, { lr: 1, weightDecay: 0, betas: [0, 0], eps: 0 });
        const step = () => optimizer.applyGradients([{ name: variable.name, tensor: tf.ones([3]) }]);
        step();
        const read = variable.data();
        step();
        const second = variable.data();
        step();
        return [[...(await read)], [...(await second)], [...(await variable.data())]];
      }, backend);
      expect([during, after, again]).toEqual([
        [-1, -1, -1],
        [-2, -2, -2],
        [-3, -3, -3],
      ]);
    });

    it("late and disposed variables, with steps in flight: the bits of the cpu backend", async () => {
      const come = (backend: string) =>
        call(async ({ tf, make, wave }, backend) => {
          await tf.setBackend(backend);
          const optimizer = make.adamw(tf, { skipNonFinite: true, lr: (step) => 0.1 / step });
          const variable = (name: string) => tf.tidy(() => tf.variable(tf.tensor(wave(6, 3), [2, 3]), true, name));
          const all = [variable("one"), variable("two")];
          for (let step = 0; step < 12; step++) {
            if (step === 4) all.push(variable("three"));
            if (step === 8) all.shift()!.dispose();
            const tensors = all.map(({ name }, i) => {
              const values = wave(6, 7 * step + i);
              if (step % 5 === 3) values[2] = Infinity;
              return { name, tensor: tf.tensor(values, [2, 3]) };
            });
            optimizer.applyGradients(tensors);
          }
          const weights = await optimizer.getWeights();
          const read = [...all, ...weights.map(({ tensor }) => tensor)].map(async (tensor) => [
            ...(await tensor.data()),
          ]);
          const values = await Promise.all(read);
          const { iterations, lastStep } = optimizer;
          optimizer.dispose();
          tf.disposeVariables();
          return { names: weights.map(({ name }) => name), values, iterations, step: lastStep!.step };
        }, backend);
      expect(await come(backend)).toEqual(await come("cpu"));
    });

    it("1,000 steps leave as much behind as 5", async () => {
      const [few, many] = await call(async ({ tf, make }, backend) => {
        await tf.setBackend(backend);
        const variables = [tf.variable(tf.ones([3, 5])), tf.variable(tf.ones([7]))];
        const seen: { numTensors: number; numDataBuffers: number; numBytes: number; data: number }[][] = [];
        for (const options of [{}, { clipNorm: 1 }]) {
          const optimizer = make.adamw(tf, options);
          const step = () => {
            const tensors = variables.map(({ name, shape }) => ({ name, tensor: tf.ones(shape) }));
            optimizer.applyGradients(tensors);
            tf.dispose(tensors.map(({ tensor }) => tensor));
          };
          const state = async () => {
            await optimizer.settled();
            // The backend's own data, which tfjs does not count.
            return { ...tf.memory(), data: tf.backend().numDataIds() };
          };
          for (let i = 0; i < 5; i++) step();
          const first = await state();
          for (let i = 0; i < 995; i++) {
            step();
            if (i % 20 === 0) await optimizer.settled();
          }
          seen.push([first, await state()]);
          optimizer.dispose();
        }
        return seen[0]!.map((_, i) => seen.map((pair) => pair[i]));
      }, backend);
      const counts = (list: typeof few) =>
        list!.map((state) => [state!.numTensors, state!.numDataBuffers, state!.numBytes, state!.data]);
      expect(counts(many)).toEqual(counts(few));
    });

    it("fit of convolution, batch norm and dense: the losses of the cpu backend within 1e-3", async () => {
      const train = (backend: string) =>
        call(async ({ tf, make, wave }, backend) => {
          await tf.setBackend(backend);
          const init = (seed: number) => tf.initializers.glorotUniform({ seed });
          const model = tf.sequential({
            layers: [
              tf.layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [6, 6, 2], kernelInitializer: init(1) }),
              tf.layers.batchNormalization(),
              tf.layers.flatten(),
              tf.layers.dense({ units: 4, activation: "softmax", kernelInitializer: init(2) }),
            ],
          });
          const optimizer = make.adamw(tf, { lr: 0.02, clipNorm: 1 });
          model.compile({ optimizer, loss: "categoricalCrossentropy" });
          const x = tf.tensor(wave(24 * 72, 1), [24, 6, 6, 2]);
          const y = tf.oneHot(
            tf.tensor1d(
              [...Array(24).keys()].map((i) => i % 4),
              "int32",
            ),
            4,
          );
          const { history } = await model.fit(x, y, { epochs: 6, batchSize: 8, shuffle: false, verbose: 0 });
          return { loss: history.loss as number[], iterations: optimizer.iterations };
        }, backend);
      const [here, expected] = [await train(backend), await train("cpu")];
      here.loss.forEach((loss, i) => {
        expect(Math.abs(loss / expected.loss[i]! - 1)).toBeLessThan(1e-3);
      });
      expect(here.iterations).toBe(18);
      expect(expected.loss.at(-1)).toBeLessThan(0.7 * expected.loss[0]!);
    });

    it("from cpu and back, or to cpu and back, with steps in flight: the bits of a run on cpu alone", async () => {
      const travel = (route: readonly string[]) =>
        call(async ({ tf, make, wave }, route) => {
          await tf.setBackend(route[0]!);
          const variables = [3, 4].map((seed) => tf.tidy(() => tf.variable(tf.tensor(wave(15, seed), [3, 5]))));
          const optimizer = make.adamw(tf, { lr: (step) => 0.1 / step, skipNonFinite: true, amsgrad: true });
          for (const [leg, backend] of route.entries()) {
            await optimizer.readable();
            await tf.setBackend(backend);
            for (let step = 0; step < 4; step++) {
              const gradients = variables.map(({ name }, i) => {
                const values = wave(15, 10 * leg + step + i);
                if (step === 2) values[4] = Number.NaN;
                return { name, tensor: tf.tensor(values, [3, 5]) };
              });
              optimizer.applyGradients(gradients);
            }
          }
          const tensors = [...variables, ...(await optimizer.getWeights()).map(({ tensor }) => tensor)];
          return Promise.all(tensors.map(async (tensor) => [...(await tensor.data())]));
        }, route);
      const expected = await travel(["cpu", "cpu", "cpu"]);
      expect(await travel(["cpu", backend, "cpu"])).toEqual(expected);
      expect(await travel([backend, "cpu", backend])).toEqual(expected);
    });

    it("weights of a tf.train.adam on cpu, and those lent by another optimizer, go on: the bits of the cpu backend", async () => {
      const resume = (backend: string) =>
        call(async ({ tf, make, wave }, backend) => {
          await tf.setBackend("cpu");
          const theirs = tf.train.adam(0.01);
          const first = tf.tidy(() => tf.variable(tf.tensor(wave(6, 1), [2, 3]), true, "first"));
          const step = (optimizer: { applyGradients(gradients: never): void }, seed: number) =>
            optimizer.applyGradients([{ name: "first", tensor: tf.tensor(wave(6, seed), [2, 3]) }] as never);
          for (let i = 0; i < 3; i++) step(theirs, i);
          const weights = await theirs.getWeights();
          await tf.setBackend(backend);
          const optimizer = make.adam(tf, { lr: 0.01, eps: 1e-7 });
          await optimizer.setWeights(weights);
          for (let i = 3; i < 6; i++) step(optimizer, i);
          const other = make.adam(tf, { lr: 0.01, eps: 1e-7 });
          await other.setWeights(await optimizer.getWeights());
          for (let i = 6; i < 9; i++) step(other, i);
          const tensors = [first, ...(await other.getWeights()).map(({ tensor }) => tensor)];
          const values = await Promise.all(tensors.map(async (tensor) => [...(await tensor.data())]));
          tf.disposeVariables();
          return { values, iterations: other.iterations };
        }, backend);
      const expected = await resume("cpu");
      expect(await resume(backend)).toEqual(expected);
      expect(expected.iterations).toBe(9);
    });
  });

  it("webgl: three passes for each variable, with amsgrad four; webgpu: one dispatch for each, one submission for all", async () => {
    const count = (backend: string, options: TfjsOptions) =>
      call(
        async ({ tf, make }, [backend, options]) => {
          await tf.setBackend(backend);
          const variables = [[3, 5], [7], []].map((shape) => tf.tidy(() => tf.variable(tf.ones(shape))));
          const optimizer = make.adamw(tf, options);
          const counts: Record<string, number> = {};
          /** Counts the calls of a method while something runs, those whose first argument is meant. */
          const watched = (object: object, name: string, run: () => void, isMeant = (_: unknown) => true) => {
            const methods = object as Record<string, (...args: unknown[]) => unknown>;
            const method = methods[name]!;
            const isOwn = Object.hasOwn(object, name);
            counts[name] = 0;
            methods[name] = function (...args) {
              if (isMeant(args[0])) counts[name]!++;
              return method.apply(this, args);
            };
            run();
            if (isOwn) methods[name] = method;
            else delete methods[name];
          };
          const { device } = tf.backend() as never as { device?: { queue: object } };
          // Nothing of tfjs's own is open then.
          const step = async (around: (run: () => void) => void) => {
            const gradients = variables.map(({ name, shape }) => ({ name, tensor: tf.ones(shape) }));
            await Promise.all(gradients.map(({ tensor }) => tensor.data()));
            around(() => optimizer.applyGradients(gradients));
          };
          await step((run) => run());
          await step((run) => {
            // TensorFlow.js runs passes of its own, to bring tensors into the layout that is asked for.
            const isOurs = (program: unknown) => JSON.stringify(program).includes('"which"');
            if (device === undefined) return watched(tf.backend(), "runWebGLProgram", run, isOurs);
            const passes = Reflect.get(globalThis, "GPUComputePassEncoder").prototype;
            watched(passes, "dispatchWorkgroups", () => watched(device.queue, "submit", run));
          });
          optimizer.dispose();
          tf.dispose(variables);
          return counts;
        },
        [backend, options] as const,
      );
    expect(await count("webgl", {})).toEqual({ runWebGLProgram: 9 });
    expect(await count("webgl", { amsgrad: true })).toEqual({ runWebGLProgram: 12 });
    expect(await count("webgpu", {})).toEqual({ dispatchWorkgroups: 3, submit: 1 });
    expect(await count("webgpu", { amsgrad: true })).toEqual({ dispatchWorkgroups: 3, submit: 1 });
  });

  it("webgl, 25 steps with its epsilon: tf.train.adam within 5e-6 of (lr t + |p|)", async () => {
    const [ours, theirs, epsilon] = await call(async ({ tf, make, wave }) => {
      await tf.setBackend("webgl");
      const epsilon = tf.backend().epsilon();
      const results = [];
      for (const optimizer of [make.adam(tf, { lr: 0.01, eps: epsilon }), tf.train.adam(0.01)]) {
        const variable = tf.tidy(() => tf.variable(tf.tensor(wave(35, 1), [5, 7])));
        for (let step = 0; step < 25; step++) {
          // Small enough for epsilon to matter.
          const values = wave(35, step).map((value) => 1e-4 * value);
          optimizer.applyGradients([{ name: variable.name, tensor: tf.tensor(values, [5, 7]) }]);
        }
        results.push([...(await variable.data())]);
      }
      return [...results, epsilon] as [number[], number[], number];
    });
    expect(epsilon).toBe(1e-4);
    ours.forEach((value, i) => {
      expect(Math.abs(value - theirs[i]!)).toBeLessThan(5e-6 * (0.01 * 25 + Math.abs(theirs[i]!)));
    });
  });

  it("webgpu: what would be read synchronously is refused by name, and device and state go on", async () => {
    const seen = await call(async ({ tf, make }) => {
      const codes: unknown[] = [];
      const attempt = (run: () => void) => {
        try {
          run();
          codes.push("none");
        } catch (error) {
          codes.push((error as { code?: string }).code);
        }
      };
      await tf.setBackend("webgpu");
      const variable = tf.tidy(() => tf.variable(tf.zeros([2])));
      const step = (optimizer: FusedOptimizer) =>
        optimizer.applyGradients([{ name: variable.name, tensor: tf.ones([2]) }]);
      attempt(() => step(make.adamw(tf, { gpu: "copy" })));
      const optimizer = make.adamw(tf, { lr: 1, weightDecay: 0, betas: [0, 0], eps: 0, skipNonFinite: true });
      attempt(() => step(optimizer));
      await tf.setBackend("cpu");
      attempt(() => step(optimizer));
      await tf.setBackend("webgpu");
      attempt(() => step(optimizer));
      await optimizer.readable();
      await tf.setBackend("cpu");
      attempt(() => step(optimizer));
      await tf.setBackend("webgpu");
      const product = tf.matMul(tf.ones([2, 2]), tf.ones([2, 2]));
      return {
        codes,
        values: [...variable.dataSync()],
        alive: [...(await product.data())],
        iterations: optimizer.iterations,
      };
    });
    expect(seen).toEqual({
      codes: ["ERR_BACKEND", "none", "ERR_BACKEND", "none", "none"],
      values: [-3, -3],
      alive: [2, 2, 2, 2],
      iterations: 3,
    });
  });

  it("webgl with half-float textures: by copying, and one warning says so", async () => {
    const seen = await call(async ({ tf, make, said }) => {
      await tf.setBackend("webgl");
      const step = () => {
        const variable = tf.tidy(() => tf.variable(tf.zeros([2])));
        const optimizer = make.adamw(tf, { lr: 1, weightDecay: 0, betas: [0, 0], eps: 0, clipNorm: 9 });
        optimizer.applyGradients([{ name: variable.name, tensor: tf.ones([2]) }]);
        // Known at once: the step was computed here.
        return [[...variable.dataSync()], optimizer.lastStep!.skipped];
      };
      const flag = "WEBGL_RENDER_FLOAT32_ENABLED";
      tf.env().set(flag, false);
      const half = step();
      tf.env().set(flag, true);
      return { half, warnings: said.filter((line) => line.includes("8 bytes per parameter")).length };
    });
    expect(seen.half).toEqual([[-1, -1], false]);
    expect(seen.warnings).toBe(1);
  });

  it("after all of this, refusals included: both devices compute and train", async () => {
    const seen = await call(async ({ tf, make }) => {
      const values: number[][] = [];
      for (const backend of ["webgl", "webgpu"]) {
        await tf.setBackend(backend);
        const variable = tf.tidy(() => tf.variable(tf.zeros([2, 2])));
        const optimizer = make.adamw(tf, { lr: 1, weightDecay: 0, betas: [0, 0], eps: 0, skipNonFinite: true });
        optimizer.applyGradients([{ name: variable.name, tensor: tf.ones([2, 2]) }]);
        values.push([...(await tf.matMul(variable, tf.ones([2, 2])).data())]);
        optimizer.dispose();
      }
      return values;
    });
    expect(seen).toEqual([
      [-2, -2, -2, -2],
      [-2, -2, -2, -2],
    ]);
  });
});
