/** `fused-adam/jax` where jax-js computes on a GPU. */
import type * as jax from "@jax-js/jax";
import type { adamw } from "fused-adam/jax";
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";

interface Tools {
  jax: typeof jax;
  adamw: typeof adamw;
}

const PAGE = `
import * as jax from "@jax-js/jax";
import { adamw } from "fused-adam/jax";
await jax.init("webgpu");
Object.assign(globalThis, { jax, adamw, ready: true });
`;

describe("in Chromium", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);

  it("arrays on webgpu, a count among them: refused by the device's name, and the device goes on", async () => {
    const seen = await call(async ({ jax: { devicePut, numpy: np }, adamw }) => {
      const codes: unknown[] = [];
      const refused = (run: () => unknown) => {
        try {
          run();
        } catch (error) {
          const { code, message } = error as { code?: string; message: string };
          codes.push([code, message.split(":")[0], message.includes("webgpu")]);
        }
      };
      const make = async (values: number[]) => (await devicePut(np.array(values), "webgpu")) as never;
      const optimizer = adamw({ lr: 0.1 });
      const params = np.array([1, 2, 3, 4], { device: "wasm" });
      const grads = np.array([1, 1, 1, 1], { device: "wasm" });
      const there = (await make([1, 2, 3, 4])) as typeof params;
      refused(() => optimizer.init({ w: there } as never));
      const state = optimizer.init({ w: params.ref });
      refused(() => optimizer.update({ w: there } as never, state, { w: params.ref }));
      refused(() => optimizer.step({ w: grads.ref }, state, { w: there } as never));
      const count = await make([0]);
      const zeros = () => ({ w: np.zeros([4], { device: "wasm" }) });
      refused(() => optimizer.step({ w: grads.ref }, { count, mu: zeros(), nu: zeros() } as never, { w: params.ref }));
      return { codes, alive: [...(await there.ref.add(1).data())] };
    });
    expect(seen).toEqual({
      codes: ["params.w", "updates.w", "params.w", "state.count"].map((label) => ["ERR_BACKEND", `"${label}"`, true]),
      alive: [2, 3, 4, 5],
    });
  });
});
