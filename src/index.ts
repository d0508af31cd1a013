/**
 * The optimizers. Every error is a `FusedAdamError`: the message says what was expected and what came instead, `code` stays the
 * same between releases, and a call that throws has changed nothing.
 *
 * @packageDocumentation
 */
export type { ErrorCode, FusedAdamError } from "./checks/errors.js";
export type {
  AdamOptions,
  GroupState,
  KernelChoice,
  KernelKind,
  LiveGroup,
  LoadOptions,
  LoadReport,
  ParamGroup,
  ParamPointers,
  ParamSet,
  ParamSource,
  ParamState,
  Params,
  RuntimeOptions,
  Schedule,
  Slice,
  StateDict,
  StepOptions,
  StepResult,
  SumOptions,
} from "./checks/types.js";
export { preload } from "./kernels/preload.js";
export { Adam, AdamW, type Optimizer } from "./optimizer/optimizer.js";
