import { ADAM_DEFAULTS, ADAMW_DEFAULTS, type Hyper } from "../checks/defaults.js";

/** The differences between the two optimizers. */
export interface Variant {
  readonly defaults: Readonly<Hyper>;
  /** Whether the weight decay is added to the gradient. */
  readonly coupled: boolean;
}

export const ADAM: Variant = { defaults: ADAM_DEFAULTS, coupled: true };
export const ADAMW: Variant = { defaults: ADAMW_DEFAULTS, coupled: false };
