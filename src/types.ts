/** Initial values; or a shape, zero-filled, or with its values (row-major, as many as the shape has elements). */
export type ParamSource =
  | Float32Array
  | { readonly shape: readonly number[]; readonly data?: Float32Array | undefined };

/**
 * A parameter that already lies in `options.memory`: its length in elements and byte offsets of float32 regions, 4-byte
 * aligned, owned by the host. `maxExpAvgSq` is needed with `amsgrad` and left alone without.
 */
export interface ParamPointers {
  readonly length: number;
  readonly param: number;
  readonly grad: number;
  readonly expAvg: number;
  readonly expAvgSq: number;
  readonly maxExpAvgSq?: number | undefined;
}

/** Parameters by name. An array names them "0", "1", …, counting on from the parameters that are there already. */
export type ParamSet = Readonly<Record<string, ParamSource | ParamPointers>> | readonly (ParamSource | ParamPointers)[];

/** Learning rate at step t = 1, 2, …; called once per step and group, before anything changes. */
export type Schedule = (step: number) => number;

/** Hyper-parameters. What is left out, or `undefined`, has its default. */
export interface AdamOptions {
  /** α, finite and >= 0, or a schedule. Default 1e-3. */
  readonly lr?: number | Schedule | undefined;
  /** β1 and β2, each in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number] | undefined;
  /** ε, finite and >= 0, added to √v̂. Default 1e-8. */
  readonly eps?: number | undefined;
  /** λ, finite and >= 0. `Adam`: L2, added to the gradient, default 0. `AdamW`: decoupled, default 0.01. */
  readonly weightDecay?: number | undefined;
  /** Divide by the largest v so far (Reddi et al. 2018; as PyTorch: max over v, not v̂). Fixed at creation. Default false. */
  readonly amsgrad?: boolean | undefined;
  /** Ascend. Default false. */
  readonly maximize?: boolean | undefined;
  /** Divide the moments by 1 − β^t. Default true. */
  readonly biasCorrection?: boolean | undefined;
}

/** Parameters with hyper-parameters of their own; what a group leaves out it takes from the optimizer's options. */
export interface ParamGroup extends AdamOptions {
  readonly params: ParamSet;
}

/** `"auto"`: `"simd"` where the engine has it, else `"scalar"` (TypeScript, same bits). `"relaxed"` is never chosen by itself. */
export type KernelChoice = "auto" | KernelKind;
export type KernelKind = "simd" | "relaxed" | "scalar";

export interface RuntimeOptions {
  /** Default "auto". */
  readonly kernel?: KernelChoice | undefined;
  /**
   * Threads a step may use, the caller's included: n starts n - 1 workers on shared memory. "auto": as many as the machine runs
   * at once, at most 8, and 1 for a model too small to gain. Default 1. Where memory cannot be shared: one thread, one warning.
   */
  readonly threads?: number | "auto" | undefined;
  /** Run on somebody else's linear memory; every parameter is then given as `ParamPointers`. */
  readonly memory?: WebAssembly.Memory | undefined;
}

export interface StepOptions {
  /** Scale the gradients so that their L2 norm over the whole step is at most this. Finite and >= 0. */
  readonly clipNorm?: number | undefined;
  /** The gradient buffers hold `gradScale` times the true gradient. Finite and > 0. Default 1. */
  readonly gradScale?: number | undefined;
  /** If any gradient is NaN or infinite, change nothing and count no step. Default false. */
  readonly skipNonFinite?: boolean | undefined;
  /** Leave every gradient of the optimizer zeroed, also those of skipped parameters and skipped steps. Default false. */
  readonly zeroGrad?: boolean | undefined;
  /** Names without a gradient this time: they, their moments and their step stay as they are. */
  readonly skip?: Iterable<string> | undefined;
}

export interface StepResult {
  /** The largest step count of any parameter, after this step. */
  readonly step: number;
  /** Whether the step was left out because a gradient, or the norm needed for clipping, was not finite. */
  readonly skipped: boolean;
  /** L2 norm of the unscaled gradients before clipping; with `clipNorm` or `skipNonFinite`. */
  readonly gradNorm?: number;
}

/** A group as it runs. Assign between steps; a value is checked when it is assigned. */
export interface LiveGroup {
  /** Names of its parameters. */
  readonly params: readonly string[];
  lr: number | Schedule;
  /** A frozen pair: assign a new one to change it. */
  get betas(): readonly [number, number];
  set betas(value: readonly [number, number]);
  eps: number;
  weightDecay: number;
  maximize: boolean;
  biasCorrection: boolean;
  /** Fixed when the group was made. */
  readonly amsgrad: boolean;
}

/** What `stateDict()` returns and `loadStateDict()` takes: plain data, copies, PyTorch's own key names. */
export interface StateDict {
  state: Record<string, ParamState>;
  param_groups: GroupState[];
}

export interface ParamState {
  step: number;
  exp_avg: Float32Array;
  exp_avg_sq: Float32Array;
  max_exp_avg_sq?: Float32Array;
}

export interface GroupState {
  lr: number;
  betas: [number, number];
  eps: number;
  weight_decay: number;
  amsgrad: boolean;
  maximize: boolean;
  bias_correction: boolean;
  params: string[];
}
