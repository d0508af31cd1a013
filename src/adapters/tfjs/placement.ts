import type { StepOptions, StepResult } from "../../checks/types.js";
import type { Slot } from "./slot.js";
import type { KernelBackend, Tensor } from "./types.js";

/** A variable's slot and its gradient, in a step. */
export interface Part {
  readonly slot: Slot;
  readonly gradient: Tensor;
}

/** Where variables and moments lie on one backend, and how they step there. */
export interface Placement {
  readonly backend: KernelBackend;
  /**
   * One step of these slots, which counts it. All others keep what they have. Before anything else the placement takes over
   * whatever a user of tfjs has done to the variables since the last step.
   *
   * @returns undefined if the outcome is not known yet: the step then counts as taken, and its slots are corrected later
   */
  step(parts: readonly Part[], options: StepOptions): StepResult | undefined;
  /** Goes on with these slots; without it, a placement is for those it was made for. */
  follow?(slots: readonly Slot[]): void;
  /** Waits until the outcome of every step is known. */
  settle?(): Promise<void>;
  /** The same without waiting. @throws Error `ERR_BACKEND` where that cannot be */
  finish?(): void;
  /** The variables that stand for moments have their values. */
  publish(): void;
  /** Every variable has its values, and none of them hangs on this any more. */
  release(): void;
}
