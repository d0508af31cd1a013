export type { ErrorCode, FusedAdamError } from "./errors.js";
export { Adam, AdamW } from "./optimizer.js";
export type {
  AdamOptions,
  GroupState,
  KernelChoice,
  KernelKind,
  LiveGroup,
  ParamGroup,
  ParamPointers,
  ParamSet,
  ParamSource,
  ParamState,
  RuntimeOptions,
  Schedule,
  StateDict,
  StepOptions,
  StepResult,
} from "./types.js";
