import { insideJax } from "./jax.js";
import { Report } from "./report.js";
import { manyTensors, smallStep, stepSpeed } from "./step.js";
import { denseCost, sparseDecay } from "./subnormals.js";
import { tfjsSteps } from "./tfjs.js";

const BENCHES = {
  step: stepSpeed,
  small: smallStep,
  tensors: manyTensors,
  flush: denseCost,
  subnormals: sparseDecay,
  tfjs: tfjsSteps,
  jax: insideJax,
};

/** `npm run bench` runs all, `npm run bench -- small flush` those named. */
const asked = process.argv.slice(2);
for (const name of asked) {
  if (!Object.hasOwn(BENCHES, name)) throw new RangeError(`"bench": expected ${Object.keys(BENCHES)}, got ${name}`);
}
const report = new Report();
for (const [name, bench] of Object.entries(BENCHES))
  if (asked.length === 0 || asked.includes(name)) await bench(report);
report.save(new URL("../build/bench.json", import.meta.url).href);
