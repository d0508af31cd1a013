/** A GPU that goes away while TensorFlow.js uses it: said at the next call, with the state that was last seen; nothing hangs. */
import type * as Core from "@tensorflow/tfjs-core";
import type { adamw } from "fused-adam/tfjs";
import { describe, expect, it } from "vitest";
import { noChromium } from "../../support/chromium.js";
import { gpuPage } from "../../support/gpu.js";
import { unless } from "../../support/host.js";

interface Tools {
  tf: typeof Core;
  adamw: typeof adamw;
}

const PAGE = `
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { adamw } from "fused-adam/tfjs";
console.warn = () => {};
Object.assign(globalThis, { tf, adamw, ready: true });
`;

describe("in Chromium", unless(noChromium), () => {
  const call = gpuPage<Tools>(PAGE);

  it.each(["webgl", "webgpu"])("%s", async (backend) => {
    const seen = await call(async ({ tf, adamw }, backend) => {
      await tf.setBackend(backend);
      const variable = tf.tidy(() => tf.variable(tf.ones([2]), true, `w${backend}`));
      const optimizer = adamw(tf, { lr: 0.5, betas: [0.5, 0.5], skipNonFinite: true });
      const gradients = () => [{ name: variable.name, tensor: tf.tensor([1, 2]) }];
      const states = async () => {
        const weights = await optimizer.getWeights();
        return Promise.all(weights.map(async ({ tensor }) => [...(await tensor.data())]));
      };
      for (let step = 0; step < 2; step++) optimizer.applyGradients(gradients());
      const before = await states();
      optimizer.applyGradients(gradients());
      const inFlight = optimizer.settled().then(
        () => "settled",
        (error: { code: string }) => error.code,
      );
      const gpu = tf.backend() as never as {
        device?: { destroy(): void };
        gpgpu?: { gl: WebGL2RenderingContext };
      };
      gpu.device?.destroy();
      gpu.gpgpu?.gl.getExtension("WEBGL_lose_context")?.loseContext();
      // What was asked of the device before it went may still come.
      const settled = await inFlight;
      const failed = async (run: () => unknown) => {
        try {
          await run();
          return "none";
        } catch (error) {
          const { code, message } = error as { code: string; message: string };
          return [code, /lost/.test(message)];
        }
      };
      const step = await failed(() => optimizer.applyGradients(gradients()));
      const again = await failed(() => optimizer.applyGradients(gradients()));
      const counted = optimizer.iterations;
      await tf.setBackend("cpu");
      const after = await states();
      // The values of a variable that only the device had are lost; somebody gives it others.
      const refused = await failed(() => optimizer.applyGradients(gradients()));
      variable.assign(tf.tensor([1, 1]));
      optimizer.applyGradients(gradients());
      return { before, settled, step, again, counted, after, refused, iterations: optimizer.iterations };
    }, backend);
    expect(["settled", "ERR_BACKEND"]).toContain(seen.settled);
    expect(seen.step).toEqual(seen.settled === "settled" ? ["ERR_BACKEND", true] : seen.step);
    expect(seen.again).toEqual(["ERR_BACKEND", true]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.before[0]).toEqual([2]);
    expect(seen.counted).toBe(2);
    expect(seen.refused).toEqual(["ERR_BACKEND", false]);
    expect(seen.iterations).toBe(3);
  });
});
