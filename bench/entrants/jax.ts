import { blockUntilReady, defaultDevice, init, jit, numpy as np } from "@jax-js/jax";
import type { RegionName } from "../check.js";
import { HYPER, repeat, startValues } from "../data.js";
import { timeAsyncCalls } from "../measure.js";
import { type Entrant, verifySteps } from "./entrant.js";

const NAME = "jax-js wasm";

/** AdamW written with jax-js's operations and compiled by `jit`, on its WebAssembly backend. */
export const jaxEntrant: Entrant = {
  name: NAME,
  kind: "library",
  memory: 48,
  async open(length) {
    await init("wasm");
    defaultDevice("wasm");
    const start = startValues(length);
    const filled = (values: Float32Array) => {
      const all = new Float32Array(length);
      repeat(all, values);
      return np.array(all);
    };
    const grad = filled(start.grad);
    let state = [filled(start.param), np.zeros([length]), np.zeros([length])] as [np.Array, np.Array, np.Array];
    const update = jit(adamw);
    let t = 0;
    const step = async () => {
      t++;
      const stepSize = np.array(HYPER.lr / (1 - HYPER.betas[0] ** t));
      const rsqrt = np.array(1 / Math.sqrt(1 - HYPER.betas[1] ** t));
      state = update(...state, grad.ref, stepSize, rsqrt) as typeof state;
      await blockUntilReady(state);
    };
    const time = (calls: number) => timeAsyncCalls(step, calls);
    const read = async function* (region: RegionName) {
      const index = { param: 0, expAvg: 1, expAvgSq: 2 }[region];
      yield (await state[index]!.ref.data()) as Float32Array;
    };
    return {
      name: NAME,
      time,
      verify: verifySteps({ name: NAME, time }, length, read, { tolerance: 2 ** -20 }),
      close() {
        for (const array of [...state, grad]) array.dispose();
      },
    };
  },
};

/** Uses up its arguments, as functions of jax-js arrays do. */
function adamw(p: np.Array, m: np.Array, v: np.Array, g: np.Array, stepSize: np.Array, rsqrt: np.Array): np.Array[] {
  const { lr, betas, eps, weightDecay } = HYPER;
  const expAvg = m.mul(betas[0]).add(g.ref.mul(1 - betas[0]));
  const expAvgSq = v.mul(betas[1]).add(g.ref.mul(1 - betas[1]).mul(g));
  const denom = np.sqrt(expAvgSq.ref).mul(rsqrt).add(eps);
  const param = p.mul(1 - lr * weightDecay).sub(expAvg.ref.mul(stepSize).div(denom));
  return [param, expAvg, expAvgSq];
}
