import { clippedStep } from "./clipped.js";
import type { Effort } from "./effort.js";
import { gpuSteps } from "./gpu.js";
import { halfWidth } from "./half.js";
import { insideJax } from "./jax.js";
import { largeModels } from "./large.js";
import type { Report } from "./report.js";
import { manyTensors, smallStep } from "./small.js";
import { stepSpeed } from "./step.js";
import { denseCost, sparseDecay } from "./subnormals.js";
import { tfjsSteps } from "./tfjs.js";
import { threadsInLoops } from "./threads.js";

/** What `npm run bench` runs, in order; `npm run bench -- small flush` runs those named. */
export const SECTIONS: Readonly<Record<string, (report: Report, effort: Effort) => void | Promise<void>>> = {
  step: stepSpeed,
  large: largeModels,
  threads: threadsInLoops,
  half: halfWidth,
  clipped: clippedStep,
  small: smallStep,
  tensors: manyTensors,
  flush: denseCost,
  subnormals: sparseDecay,
  tfjs: tfjsSteps,
  gpu: gpuSteps,
  jax: insideJax,
};
