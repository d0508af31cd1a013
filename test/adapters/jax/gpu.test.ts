/** `fused-adam/jax` where jax-js computes on WebGPU: its operations, jitted, over the same states. */
import type * as jax from "@jax-js/jax";
import type { AdamState, adam, adamw, TransformationOptions } from "fused-adam/jax";
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";

interface Case {
  readonly make: "adam" | "adamw";
  readonly mode: "step" | "update";
  readonly options: Omit<TransformationOptions, "lr" | "weightDecay"> & {
    readonly lr?: number | "cosine";
    readonly weightDecay?: number | "cosine";
  };
}

interface Tools {
  jax: typeof jax;
  make: { adam: typeof adam; adamw: typeof adamw };
  /** Parameters and moments after 40 steps whose gradients depend on the step alone. */
  run(device: string, options: Case): Promise<number[][]>;
}

const PAGE = `
import * as jax from "@jax-js/jax";
import { adam, adamw } from "fused-adam/jax";
await jax.init("webgpu");
const { devicePut, numpy: np, tree } = jax;
const make = { adam, adamw };
const cosine = (step) => 0.01 * (1 + Math.cos(step / 20));
const wave = (shape, seed) => {
  const length = shape.reduce((a, b) => a * b, 1);
  return np.array(Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + seed)), { shape, device: "wasm" });
};
const treeOf = (device, seed) => devicePut({ w: wave([5, 7], seed), rest: [wave([9], seed + 1), wave([], seed + 2)] }, device);
Object.assign(globalThis, {
  jax, make,
  async run(device, { make: kind, mode, options }) {
    const mask = { w: true, rest: false };
    const optimizer = make[kind]({ lr: 0.01, mask, ...options, ...(options.lr === "cosine" && { lr: cosine }), ...(options.weightDecay === "cosine" && { weightDecay: cosine }) });
    let params = await treeOf(device, 1);
    let state = optimizer.init(tree.ref(params));
    for (let step = 0; step < 40; step++) {
      const grads = await treeOf(device, 10 * step);
      if (mode === "step") [params, state] = optimizer.step(grads, state, params);
      else {
        let updates;
        [updates, state] = optimizer.update(grads, state, tree.ref(params));
        params = tree.map((p, u) => p.add(u), params, updates);
      }
    }
    const { count, ...moments } = state;
    const leaves = tree.leaves([params, moments]);
    return [[count.dataSync()[0]], ...await Promise.all(leaves.map(async (leaf) => [...await leaf.ref.data()]))];
  },
  ready: true,
});
`;

const CASES: Record<string, Case> = {
  defaults: { make: "adamw", mode: "step", options: {} },
  coupled: { make: "adam", mode: "step", options: { weightDecay: 0.1, lr: "cosine" } },
  amsgrad: { make: "adamw", mode: "step", options: { amsgrad: true, weightDecay: 0.3 } },
  "a schedule of the decay": { make: "adamw", mode: "step", options: { weightDecay: "cosine" } },
  "ascent without bias correction": { make: "adam", mode: "step", options: { maximize: true, biasCorrection: false } },
  "updates, decoupled": { make: "adamw", mode: "update", options: { weightDecay: 0.1 } },
  "updates, coupled, amsgrad": { make: "adam", mode: "update", options: { weightDecay: 0.1, amsgrad: true } },
};

describe("in Chromium", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);

  it.each(Object.entries(CASES))("%s, 40 steps: linear memory's within 1e-6 of (lr t + |x|)", async (_, options) => {
    const on = (device: string) =>
      call(({ run }, [device, options]) => run(device, options), [device, options] as const);
    const [here, expected] = [await on("webgpu"), await on("wasm")];
    expect(here.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
    expect(here[0]).toEqual([40]);
    here.forEach((values, i) => {
      values.forEach((value, j) => {
        const other = expected[i]![j]!;
        expect(Math.abs(value - other)).toBeLessThan(1e-6 * ((i < 4 ? 0.01 * 40 : 0) + Math.abs(other)));
      });
    });
  });

  it("a state as plain arrays, saved and brought back, goes on: the same bits", async () => {
    const [one, other] = await call(async ({ jax: { devicePut, numpy: np, tree }, make }) => {
      const optimizer = make.adamw({ lr: 0.1 });
      const there = (values: number[]) => devicePut(np.array(values), "webgpu") as never as Promise<jax.Array>;
      const results: number[][] = [];
      for (const saves of [false, true]) {
        let params = { w: await there([1, 2, 3]) };
        let state: AdamState = optimizer.init(tree.ref(params));
        for (let step = 0; step < 6; step++) {
          if (saves && step === 3) {
            const { count, ...moments } = state;
            const values = await Promise.all(tree.leaves(moments).map((leaf) => (leaf as jax.Array).data()));
            const [mu, nu] = await Promise.all(values.map((list: unknown) => there([...(list as Float32Array)])));
            state = { count, mu: { w: mu }, nu: { w: nu } } as never;
          }
          [params, state] = optimizer.step({ w: await there([step, -1, 0.5]) }, state, params);
        }
        results.push([...(await params.w.data())]);
      }
      return results;
    });
    expect(other).toEqual(one);
  });

  it("what cannot be done there is refused by the device's name, nothing used up, and the device goes on", async () => {
    const seen = await call(async ({ jax: { devicePut, numpy: np }, make: { adamw } }) => {
      const refused: unknown[] = [];
      const attempt = (run: () => unknown) => {
        try {
          run();
          refused.push("none");
        } catch (error) {
          const { code, message } = error as { code?: string; message: string };
          refused.push([code, message.split(":")[0], message.includes("webgpu")]);
        }
      };
      const make = async (values: number[]) => (await devicePut(np.array(values), "webgpu")) as never as jax.Array;
      const here = (values: number[]) => np.array(values, { device: "wasm" });
      const there = await make([1, 2, 3, 4]);
      attempt(() => adamw({ clipNorm: 1 }).init({ w: there }));
      attempt(() => adamw({ skipNonFinite: true }).init({ w: there }));
      attempt(() => adamw().init({ w: there, v: here([1]) }));
      const optimizer = adamw();
      const state = optimizer.init({ w: there.ref });
      attempt(() => optimizer.step({ w: here([1, 1, 1, 1]) }, state, { w: there }));
      const count = await make([0]);
      attempt(() => optimizer.step({ w: there.ref }, { ...state, count } as never, { w: there }));
      return { refused, references: there.refCount, alive: [...(await there.add(1).data())] };
    });
    expect(seen.refused).toEqual([
      ["ERR_BACKEND", '"clipNorm"', true],
      ["ERR_BACKEND", '"skipNonFinite"', true],
      ["ERR_BACKEND", '"params.v"', true],
      ["ERR_BACKEND", '"updates.w"', true],
      ["ERR_BACKEND", '"state.count"', true],
    ]);
    // One of them is for the gradients that the last attempt was given and did not use up.
    expect([seen.references, seen.alive]).toEqual([2, [2, 3, 4, 5]]);
  });
});
