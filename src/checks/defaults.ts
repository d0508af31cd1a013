import type { COPY_FORMATS, GRAD_FORMATS, MOMENT_FORMATS } from "./formats.js";
import type { WasmMemory, WasmModule } from "./libraries.js";
import type { KernelChoice, Schedule } from "./types.js";

/** Hyper-parameters of a group, complete and checked. */
export interface Hyper {
  lr: number | Schedule;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number | Schedule;
  amsgrad: boolean;
  maximize: boolean;
  biasCorrection: boolean;
  moments: (typeof MOMENT_FORMATS)[number];
  grads: (typeof GRAD_FORMATS)[number];
  copies: (typeof COPY_FORMATS)[number] | undefined;
}

/** The defaults of `torch.optim.Adam`. */
export const ADAM_DEFAULTS: Readonly<Hyper> = {
  lr: 1e-3,
  betas: Object.freeze([0.9, 0.999] as const),
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
  moments: "float32",
  grads: "float32",
  copies: undefined,
};
/** The defaults of `torch.optim.AdamW`. */
export const ADAMW_DEFAULTS: Readonly<Hyper> = { ...ADAM_DEFAULTS, weightDecay: 0.01 };

/** `RuntimeOptions`, complete and checked. */
export interface Runtime {
  kernel: KernelChoice;
  threads: number | "auto";
  memory: WasmMemory | undefined;
  module: WasmModule | undefined;
}

export const RUNTIME_DEFAULTS: Readonly<Runtime> = { kernel: "auto", threads: 1, memory: undefined, module: undefined };

/** `StepOptions`, complete and checked, except that names to skip are only known to be strings. */
export interface StepSettings {
  clipNorm: number | undefined;
  gradScale: number;
  skipNonFinite: boolean;
  zeroGrad: boolean;
  skip: ReadonlySet<string> | undefined;
  gradNorm: number | undefined;
  maxSkipped: number | undefined;
}

export const STEP_DEFAULTS: Readonly<StepSettings> = {
  clipNorm: undefined,
  gradScale: 1,
  skipNonFinite: false,
  zeroGrad: false,
  skip: undefined,
  gradNorm: undefined,
  maxSkipped: undefined,
};

/** `LoadOptions`, complete and checked. */
export interface LoadSettings {
  partial: boolean;
  keepOptions: boolean;
}

export const LOAD_DEFAULTS: Readonly<LoadSettings> = { partial: false, keepOptions: false };

/** `CheckpointOptions`, complete and checked. */
export interface CheckpointSettings {
  params: boolean;
  metadata: ReadonlyMap<string, string>;
  tensors: readonly UserTensor[];
}

/** A tensor of the user's that goes into a checkpoint. */
export interface UserTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export const CHECKPOINT_DEFAULTS: Readonly<CheckpointSettings> = { params: true, metadata: new Map(), tensors: [] };
