import type { KernelChoice, Schedule } from "./types.js";

/** Options once they are checked and complete, and what they are where the caller says nothing. */

/** Hyper-parameters of a group. */
export interface Hyper {
  lr: number | Schedule;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  amsgrad: boolean;
  maximize: boolean;
  biasCorrection: boolean;
}

/** PyTorch's defaults; the decay is `torch.optim.Adam`'s, `torch.optim.AdamW`'s in ADAMW_DEFAULTS. */
export const ADAM_DEFAULTS: Readonly<Hyper> = {
  lr: 1e-3,
  betas: Object.freeze([0.9, 0.999] as const),
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
};
export const ADAMW_DEFAULTS: Readonly<Hyper> = { ...ADAM_DEFAULTS, weightDecay: 0.01 };

/** How steps run. */
export interface Runtime {
  kernel: KernelChoice;
  threads: number | "auto";
  memory: WebAssembly.Memory | undefined;
}

export const RUNTIME_DEFAULTS: Readonly<Runtime> = { kernel: "auto", threads: 1, memory: undefined };

/** What a step does besides the update. Names to skip are only known to be strings. */
export interface StepSettings {
  clipNorm: number | undefined;
  gradScale: number;
  skipNonFinite: boolean;
  zeroGrad: boolean;
  skip: ReadonlySet<string> | undefined;
}

export const STEP_DEFAULTS: Readonly<StepSettings> = {
  clipNorm: undefined,
  gradScale: 1,
  skipNonFinite: false,
  zeroGrad: false,
  skip: undefined,
};

/** What goes into a checkpoint. */
export interface CheckpointSettings {
  params: boolean;
}

export const CHECKPOINT_DEFAULTS: Readonly<CheckpointSettings> = { params: false };
