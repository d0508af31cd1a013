/** What comes with a module for formats of 16 bits, and is needed only where there are such. */
export { WORKER } from "../generated/workerHalf.js";
export { nearest, widened } from "../memory/bfloat16.js";
export { scalarHalfKernels } from "./scalarHalf.js";
export { seedOf } from "./seed.js";
