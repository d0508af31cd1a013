/** What Node has not: the threaded build of tfjs's wasm backend, on shared memory, and webgl, in Chromium. */
import type { adamw } from "fused-adam/tfjs";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { unless } from "../../support/host.js";
import { bundle, stage } from "../../support/pages.js";
import { root } from "../../support/root.js";
import { fileIn, ISOLATED, pageOf } from "../../support/site.js";
import type { tf as Tf } from "../../support/tfjs.js";

interface Tools {
  tf: typeof Tf;
  adamw: typeof adamw;
  said: string[];
  /** Ten steps whose gradients depend on the step alone; then values and moments. */
  steps(backend: string, options?: object): Promise<number[][]>;
  /** A linear model's loss over twenty steps of `minimize`. */
  losses(backend: string): Promise<number[]>;
}

const PAGE = `
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-webgl";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { adamw } from "fused-adam/tfjs";
const said = [];
console.warn = (...args) => said.push(args.join(" "));
setWasmPaths("/wasm/");
Object.assign(globalThis, {
  tf, adamw, said,
  async steps(backend, options = {}) {
    await tf.setBackend(backend);
    const shapes = [[33, 7], [65], []];
    const sizes = shapes.map((shape) => tf.util.sizeFromShape(shape));
    const wave = (length, seed) => Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + seed));
    const variables = shapes.map((shape, i) => tf.tidy(() => tf.variable(tf.tensor(wave(sizes[i], i), shape))));
    const optimizer = adamw(tf, { lr: 0.01, weightDecay: 0.1, clipNorm: 1, ...options });
    const [ballast, before] = [[], tf.memory().numTensors];
    for (let step = 0; step < 10; step++) {
      const gradients = variables.map(({ name, shape }, i) => ({ name, tensor: tf.tensor(wave(sizes[i], step * 10 + i), shape) }));
      optimizer.applyGradients(gradients);
      tf.dispose(gradients.map(({ tensor }) => tensor));
      // Heaps grow meanwhile.
      ballast.push(tf.tensor(new Float32Array(1 << 20)));
    }
    const tensors = [...variables, ...(await optimizer.getWeights()).map(({ tensor }) => tensor)];
    const values = await Promise.all(tensors.map(async (tensor) => [...await tensor.data()]));
    tf.dispose(ballast);
    optimizer.dispose();
    values.push([tf.memory().numTensors - before]);
    tf.dispose(variables);
    return values;
  },
  async losses(backend) {
    await tf.setBackend(backend);
    const variable = tf.variable(tf.zeros([4, 4]));
    const x = tf.tensor([...Array(32).keys()].map((i) => Math.cos(i)), [8, 4]);
    const target = tf.matMul(x, tf.tensor([...Array(16).keys()].map((i) => Math.sin(i)), [4, 4]));
    const optimizer = adamw(tf, { lr: 0.1, weightDecay: 0 });
    const costs = [];
    for (let step = 0; step < 20; step++) {
      costs.push((await optimizer.minimize(() => tf.mean(tf.square(tf.sub(tf.matMul(x, variable), target))), true).data())[0]);
    }
    return costs;
  },
  ready: true,
});
`;

describe("in Chromium", unless(noChromium), () => {
  let page: Page;
  const site = stage(async () => {
    const script = await bundle(PAGE);
    return async (path) => {
      const answer = path.startsWith("/wasm/")
        ? await fileIn(`${root}node_modules/@tensorflow/tfjs-backend-wasm/dist`, path.slice("/wasm".length))
        : { body: path === "/page.js" ? script : pageOf("/page.js") };
      return { ...answer, headers: ISOLATED };
    };
  });
  beforeAll(async () => {
    page = await site.browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction("globalThis.ready");
  });

  const call = <T>(run: (tools: Tools) => T | Promise<T>): Promise<T> =>
    page.evaluate(`(${run})(globalThis)`) as Promise<T>;

  test("wasm, threaded: on its shared heap, the bits of the cpu backend, and nothing left behind", async () => {
    const expected = await call(({ steps }) => steps("cpu"));
    expect(await call(({ steps }) => steps("wasm"))).toEqual(expected);
    expect(expected.at(-1)).toEqual([0]);
    const facts = await call(({ tf, adamw, said }) => {
      const backend = tf.backend() as unknown as {
        wasm: { HEAPU8: Uint8Array };
        getMemoryOffset(dataId: object): number;
      };
      const variable = tf.tidy(() => tf.variable(tf.ones([100])));
      const before = backend.getMemoryOffset(variable.dataId);
      const optimizer = adamw(tf);
      for (let i = 0; i < 3; i++) optimizer.applyGradients({ [variable.name]: tf.ones([100]) } as never);
      return {
        shared: backend.wasm.HEAPU8.buffer instanceof SharedArrayBuffer,
        inPlace: backend.getMemoryOffset(variable.dataId) === before,
        moved: variable.dataSync()[0]! < 0.999,
        said,
      };
    });
    expect(facts).toEqual({ shared: true, inPlace: true, moved: true, said: [] });
  });

  test("wasm, threaded: training sees every step, as the cpu backend does within 1e-5", async () => {
    const [threaded, expected] = [
      await call(({ losses }) => losses("wasm")),
      await call(({ losses }) => losses("cpu")),
    ];
    threaded.forEach((loss, i) => {
      expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(1e-5);
    });
    expect(expected.at(-1)).toBeLessThan(0.5 * expected[0]!);
  });

  test("webgl: by copying, with one warning, the bits of the cpu backend", async () => {
    const expected = await call(({ steps }) => steps("cpu"));
    expect(await call(({ steps }) => steps("webgl", { gpu: "copy" }))).toEqual(expected);
    expect(await call(({ steps }) => steps("webgl", { gpu: "copy", kernel: "scalar" }))).toEqual(expected);
    const said = await call(({ said }) => said.filter((line) => line.startsWith("fused-adam")));
    expect(said).toEqual([expect.stringMatching(/"webgl".*8 bytes per parameter/)]);
  });

  test("webgl: training, as the cpu backend within 1e-4", async () => {
    const [webgl, expected] = [await call(({ losses }) => losses("webgl")), await call(({ losses }) => losses("cpu"))];
    webgl.forEach((loss, i) => {
      expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(1e-4);
    });
  });
});
