import { check } from "../check.js";
import { addressesOf, createModel } from "../model.js";
import { passesOver } from "../passes.js";
import { type Entrant, STEP_MEMORY, STEP_TRAFFIC } from "./entrant.js";

export const LOAD_STORE = "loads and stores only";
export const SQRT_DIV = "sqrt + div only";

/** The memory traffic of a step, in the package's own layout, without its arithmetic. */
export const loadStoreEntrant: Entrant = {
  name: LOAD_STORE,
  kind: "limit",
  traffic: STEP_TRAFFIC,
  memory: STEP_MEMORY,
  async open(length) {
    const model = createModel(length);
    const { load_store } = passesOver(model.optimizer.memory);
    const { param, grad, expAvg, expAvgSq } = addressesOf(model);
    const step = () => load_store(param, grad, expAvg, expAvgSq, length);
    return {
      name: LOAD_STORE,
      step,
      async verify() {
        step();
        await check(LOAD_STORE, length, (region) => [model.views[region]], { steps: 0, tolerance: 0 });
      },
      close: () => model.optimizer.dispose(),
    };
  },
};

/** Elements whose roots are taken again and again: they stay in the first-level cache. */
const BLOCK = 1024;
const ADDRESS = 1024;

/** The square root and the division of a step, without anything else. */
export const sqrtDivEntrant: Entrant = {
  name: SQRT_DIV,
  kind: "limit",
  memory: 0,
  largest: { length: 1 << 20, reason: "it moves no memory, so nothing changes with size" },
  async open(length) {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { sqrt_div } = passesOver(memory);
    const block = Math.min(BLOCK, length);
    const values = new Float32Array(memory.buffer, ADDRESS, block);
    return {
      name: SQRT_DIV,
      step: () => sqrt_div(ADDRESS, block, length),
      async verify() {
        // The result is the bitwise or of all 1 / sqrt(x); here all are 1 / sqrt(4).
        const half = new Uint32Array(new Float32Array([0.5]).buffer)[0];
        values.fill(4);
        const got = sqrt_div(ADDRESS, block, length);
        if (got !== half) throw new Error(`"${SQRT_DIV}": expected the bits ${half}, got ${got}`);
        for (let i = 0; i < block; i++) values[i] = 1e-5 * (1 + i / block);
      },
      close: () => {},
    };
  },
};
