import type { WasmMemory, WasmModule } from "./libraries.js";

/** Which part of a tensor a parameter is, where a model's state is cut among processes. */
export interface Slice {
  /**
   * From row `rows[0]` of the tensor's first dimension up to, and without, row `rows[1]`; `[k, k]` for none. `shape` is the whole
   * tensor's, and values and lengths are the part's. A scalar has one row. Default all rows.
   */
  readonly rows?: readonly [number, number] | undefined;
}

/**
 * Initial values, which are copied; or a shape, zero-filled, or with its values. A Float32Array alone has the shape of a
 * vector.
 */
export type ParamSource =
  | Float32Array
  | (Slice & {
      /** Sizes of the dimensions, integers >= 0; none for a scalar. Checkpoints keep it. */
      readonly shape: readonly number[];
      /** Initial values, row-major, as many as the shape, or the part of it, has elements. Default zeros. */
      readonly data?: Float32Array | undefined;
    });

/**
 * A parameter that already lies in `options.memory`: offsets of float32 regions there, in bytes, each 4-byte aligned, in range,
 * overlapping no other, and owned by the host.
 */
export interface ParamPointers extends Slice {
  /** Elements of each region. */
  readonly length: number;
  /** As in `ParamSource`, for checkpoints. Default `[length]`. */
  readonly shape?: readonly number[] | undefined;
  /** The values, as they are: nothing is written to them before the first step. */
  readonly param: number;
  /** The gradient, which the host fills before each step. */
  readonly grad: number;
  /** First moment m, zeroed at creation. */
  readonly expAvg: number;
  /** Second moment v, zeroed at creation. */
  readonly expAvgSq: number;
  /** Largest v so far, zeroed at creation: needed with `amsgrad`, left alone without. */
  readonly maxExpAvgSq?: number | undefined;
  /** The parameters once more, rounded, written from creation on: needed with `copies`, left alone without. */
  readonly copy?: number | undefined;
}

/**
 * Parameters by name. An array names them "0", "1", …, counting on from the parameters that are there already. Values are copied:
 * the same array under two names makes two parameters, and a warning. Tied weights are one parameter, its gradient the sum of all.
 */
export type ParamSet = Readonly<Record<string, ParamSource | ParamPointers>> | readonly (ParamSource | ParamPointers)[];

/** Learning rate, or weight decay, at step t = 1, 2, …; called once per step and group, before anything changes. */
export type Schedule = (step: number) => number;

/** Hyper-parameters. What is left out, or `undefined`, has its default. */
export interface AdamOptions {
  /** α, finite and >= 0, or a schedule. Default 1e-3. */
  readonly lr?: number | Schedule | undefined;
  /** β1 and β2, each in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number] | undefined;
  /** ε, finite and >= 0, added to √v̂. Default 1e-8. */
  readonly eps?: number | undefined;
  /** λ, finite and >= 0, or a schedule. `Adam`: L2, added to the gradient, default 0. `AdamW`: decoupled, default 0.01. */
  readonly weightDecay?: number | Schedule | undefined;
  /** Divide by the largest v so far (Reddi et al. 2018; as PyTorch: max over v, not v̂). Fixed at creation. Default false. */
  readonly amsgrad?: boolean | undefined;
  /** Ascend. Default false. */
  readonly maximize?: boolean | undefined;
  /** Divide the moments by 1 − β^t. Default true. */
  readonly biasCorrection?: boolean | undefined;
  /**
   * How m and v lie in memory. "bfloat16" takes 4 bytes a parameter less: they are rounded stochastically when they are stored, and nothing
   * else changes. Fixed at creation. Default "float32".
   */
  readonly moments?: "float32" | "bfloat16" | undefined;
  /** How gradients lie in memory: those of 16 bits the caller fills by `gradBits` or `setGrad`. Fixed at creation. Default "float32". */
  readonly grads?: "float32" | "float16" | "bfloat16" | undefined;
  /**
   * Leave the parameters rounded to nearest as well, for `copyBits`: at creation, by every step that moves them, and when a state is
   * loaded. Fixed at creation. Default none.
   */
  readonly copies?: "float16" | "bfloat16" | undefined;
}

/** Parameters with hyper-parameters of their own; what a group leaves out it takes from the optimizer's options. */
export interface ParamGroup extends AdamOptions {
  /** At least one parameter, under names that no other group has. */
  readonly params: ParamSet;
}

/** What `create` takes: the parameters, or an array of groups with hyper-parameters of their own. */
export type Params = ParamSet | readonly ParamGroup[];

/** `"auto"`: `"simd"` where the engine has it, else `"scalar"` (TypeScript, same bits). `"relaxed"` is never chosen by itself. */
export type KernelChoice = "auto" | KernelKind;
/**
 * What steps run on: WebAssembly SIMD; the same with fused multiply-add where the machine has it (`"relaxed"`, whose bits may
 * differ between machines); or TypeScript, with the bits of `"simd"`.
 */
export type KernelKind = "simd" | "relaxed" | "scalar";

/** How steps run; all that is no hyper-parameter. What is left out, or `undefined`, has its default. */
export interface RuntimeOptions {
  /** Default "auto". In a page, `createSync` has "relaxed" only after `preload` or `create` has loaded it. */
  readonly kernel?: KernelChoice | undefined;
  /**
   * Threads a step may use, the caller's included: n starts n - 1 workers on shared memory. "auto": as many as the machine runs
   * at once, at most 8, and 1 for a model too small to gain. Default 1, at most 1024. Where memory cannot be shared, or workers
   * cannot start: one thread, one warning.
   */
  readonly threads?: number | "auto" | undefined;
  /**
   * Run on somebody else's linear memory, of which the first 4 GiB can be used; every parameter is then given as `ParamPointers`.
   * One with 64-bit addresses takes the TypeScript kernels.
   */
  readonly memory?: WasmMemory | undefined;
  /**
   * A module of `fused-adam/wasm/` that the host has compiled, where it lets nobody compile bytes, or one compiled for debugging. It
   * has to be for the `kernel` that is asked for ("auto": simd.wasm), and decides whether the optimizer's own memory is shared.
   */
  readonly module?: WasmModule | undefined;
}

/** What a step does besides the update. What is left out, or `undefined`, is not done. */
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
  /**
   * The L2 norm of the whole model's unscaled gradients, where this optimizer has only a part of them: used by `clipNorm` and
   * `skipNonFinite` instead of its own. >= 0; infinite or NaN says that a gradient is.
   */
  readonly gradNorm?: number | undefined;
  /**
   * How many steps in a row may be skipped: an integer >= 0. One more throws `ERR_SKIPPED` and changes nothing. Skips as `skipNonFinite` does.
   * Default: any number.
   */
  readonly maxSkipped?: number | undefined;
}

/** What `sumOfSquares` sums. What is left out, or `undefined`, is not done. */
export type SumOptions = Pick<StepOptions, "gradScale" | "skip">;

/** What a step has done. */
export interface StepResult {
  /** The largest step count of any parameter, after this step. */
  readonly step: number;
  /** Whether the step was left out because a gradient, or the norm needed for clipping, was not finite. */
  readonly skipped: boolean;
  /** L2 norm of the unscaled gradients before clipping; with `clipNorm` or `skipNonFinite`. */
  readonly gradNorm?: number;
  /** How many steps in a row have been skipped, this one included; 0 after one that was not. With `maxSkipped`. */
  readonly skippedInARow?: number;
}

/** A group as it runs. Assign between steps; a value is checked when it is assigned. */
export interface LiveGroup {
  /** Names of its parameters. */
  readonly params: readonly string[];
  /** α, finite and >= 0, or a schedule. */
  lr: number | Schedule;
  /** β1 and β2, each in [0, 1): a frozen pair, so assign a new one to change it. */
  betas: readonly [number, number];
  /** ε, finite and >= 0. */
  eps: number;
  /** λ, finite and >= 0, or a schedule. */
  weightDecay: number | Schedule;
  /** Whether steps ascend. */
  maximize: boolean;
  /** Whether the moments are divided by 1 − β^t. */
  biasCorrection: boolean;
  /** Whether the largest v so far divides. Fixed when the group was made, as the rest. */
  readonly amsgrad: boolean;
  /** How moments are stored. */
  readonly moments: "float32" | "bfloat16";
  /** How gradients are stored. */
  readonly grads: "float32" | "float16" | "bfloat16";
  /** How copies of the parameters are stored; undefined: there are none. */
  readonly copies: "float16" | "bfloat16" | undefined;
}

/** What `stateDict()` returns and `loadStateDict()` takes: plain data, copies, PyTorch's own key names. */
export interface StateDict {
  /** By name of the parameter, an entry for each from the start: step 0, moments zero. */
  state: Record<string, ParamState>;
  /** In the order of `paramGroups`. */
  param_groups: GroupState[];
}

/** How a state is loaded. What is left out, or `undefined`, has its default. */
export interface LoadOptions {
  /**
   * Take over what fits by name and shape, and let all other parameters begin anew, at step 0 with zero moments. A group gets the
   * hyper-parameters of one with the same parameters, and else keeps its own. What is damaged, or was made with another `amsgrad` or
   * the other optimizer's weight decay, is refused as ever. Default false: everything has to fit.
   */
  readonly partial?: boolean | undefined;
  /** Keep this optimizer's own `lr`, `weightDecay` and other hyper-parameters. Without it, as in PyTorch, those of the state are taken. Default false. */
  readonly keepOptions?: boolean | undefined;
}

/** What was loaded, by name of the parameter. Without `partial` nothing is unexpected or mismatched. */
export interface LoadReport {
  /** Whose state was taken over. */
  loaded: string[];
  /** The optimizer's that the state has nothing of: they begin at step 0. */
  missing: string[];
  /** The state's that the optimizer does not have. */
  unexpected: string[];
  /** Those that have another shape there: they begin at step 0. */
  mismatched: string[];
  /** Whether the values of the parameters came with it, as in a checkpoint, and not in a state dict. */
  params: boolean;
}

/** What a checkpoint brought: what was loaded, and what the user had put in. */
export interface CheckpointReport extends LoadReport {
  /** As it was saved; empty if there was none. */
  metadata: Record<string, string>;
  /** Copies, flat and row-major; empty if there were none. */
  tensors: Record<string, Float32Array>;
}

/** One parameter's state; arrays flat, row-major, as long as the parameter. At step 0 all of them may be missing, and are zeros then. */
export interface ParamState {
  /** Steps that this parameter has taken, from 0 to 2^53 - 1. */
  step: number;
  /** First moment m. Finite. */
  exp_avg: Float32Array;
  /** Second moment v. Finite, >= 0. */
  exp_avg_sq: Float32Array;
  /** With `amsgrad`: largest v so far. Finite, >= 0. */
  max_exp_avg_sq?: Float32Array;
  /** Where the parameter is a part of a tensor: which of its rows. Such a state fits the same part only. */
  rows?: [number, number];
}

/** One group's hyper-parameters, by PyTorch's names. */
export interface GroupState {
  /** α; of a schedule the value last used, before the first step its value at 1. */
  lr: number;
  /** β1 and β2. */
  betas: [number, number];
  /** ε. */
  eps: number;
  /** λ, coupled in `Adam`, decoupled in `AdamW`; of a schedule as `lr`. */
  weight_decay: number;
  /** Whether the group divides by the largest v so far. */
  amsgrad: boolean;
  /** Whether steps ascend. */
  maximize: boolean;
  /** Whether the moments are divided by 1 − β^t; PyTorch has no such key and always does. */
  bias_correction: boolean;
  /** Which rule made the state: true in `AdamW`, false in `Adam`. May be missing in a state from elsewhere, which then loads into both. */
  decoupled_weight_decay: boolean;
  /** Names of its parameters. */
  params: string[];
}
