import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import type { RegionName } from "../check.js";
import { HYPER, repeat, startValues } from "../data.js";
import { timeCalls } from "../measure.js";
import { type Entrant, verifySteps } from "./entrant.js";

const { resolve } = createRequire(import.meta.url);
setWasmPaths(join(dirname(resolve("@tensorflow/tfjs-backend-wasm/package.json")), "dist/"));
// Without its checks of every result for NaN.
tf.enableProdMode();

export const tensorflowVersion = `TensorFlow.js ${tf.version_core}`;

let opened = 0;

/**
 * `tf.train.adam` on existing tensors: `applyGradients` and nothing else. It has no weight decay, and multiplies its powers of β
 * up in float32, hence the tolerance.
 */
export function tensorflowEntrant(backend: "cpu" | "wasm", largest: NonNullable<Entrant["largest"]>): Entrant {
  const name = `TensorFlow.js ${backend}`;
  return {
    name,
    kind: "library",
    // Each of its operations makes a tensor; not all of them exist at the same time.
    memory: 48,
    largest,
    async open(length) {
      if (!(await tf.setBackend(backend))) throw new Error(`"${name}": expected a backend, got none`);
      const start = startValues(length);
      const filled = (values: Float32Array) => {
        const all = new Float32Array(length);
        repeat(all, values);
        return tf.tensor1d(all);
      };
      const [initial, gradient] = [filled(start.param), filled(start.grad)];
      const variable = tf.variable(initial, true, `bench${opened++}`);
      initial.dispose();
      const { lr, betas, eps } = HYPER;
      const optimizer = tf.train.adam(lr, betas[0], betas[1], eps);
      const gradients = [{ name: variable.name, tensor: gradient }];
      const step = () => optimizer.applyGradients(gradients);
      const time = async (calls: number) => {
        await tf.setBackend(backend);
        return timeCalls(step, calls);
      };

      async function* read(region: RegionName) {
        const [, m, v] = await optimizer.getWeights();
        const { tensor } = { param: { tensor: variable }, expAvg: m!, expAvgSq: v! }[region];
        yield (await tensor.data()) as Float32Array;
      }
      const options = { mode: "adam", weightDecay: 0 } as const;
      return {
        name,
        time,
        verify: verifySteps({ name, time }, length, read, { tolerance: 3e-5, options }),
        close() {
          optimizer.dispose();
          variable.dispose();
          gradient.dispose();
        },
      };
    },
  };
}
