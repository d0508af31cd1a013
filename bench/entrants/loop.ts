import { repeat, startValues } from "../data.js";
import { loopStep } from "../model.js";
import { type Entrant, STEP_MEMORY, STEP_TRAFFIC, verifySteps } from "./entrant.js";

export const LOOP = "JavaScript loop";

export const loopEntrant: Entrant = {
  name: LOOP,
  kind: "loop",
  traffic: STEP_TRAFFIC,
  memory: STEP_MEMORY,
  async open(length) {
    const array = () => new Float32Array(length);
    const arrays = { param: array(), grad: array(), expAvg: array(), expAvgSq: array() };
    const start = startValues(length);
    repeat(arrays.param, start.param);
    repeat(arrays.grad, start.grad);
    let step = 0;
    const contender = { name: LOOP, step: () => loopStep(arrays, ++step) };
    const verify = verifySteps(contender, length, (region) => [arrays[region]], { tolerance: 2 ** -21 });
    return { ...contender, verify, close: () => {} };
  },
};
