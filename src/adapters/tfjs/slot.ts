import type { Rule } from "./settings.js";
import { disposeVariable } from "./tensors.js";
import type { Tf, Variable } from "./types.js";

/**
 * The state of one variable. Its moments are variables of tfjs, too, not trainable, as those of `tf.train.adam`: tfjs
 * carries them from backend to backend, and `getWeights()` returns them.
 */
export class Slot {
  /** The variable's, or, until there is a variable, the one it was saved under. */
  name: string;
  /** Undefined for a slot that was loaded, until its variable appears. */
  variable: Variable | undefined;
  /** Undefined at most until there is a variable. */
  rule: Rule | undefined;

  /**
   * @param moments first, second and with amsgrad the largest second, in the variable's shape
   * @param step steps of this variable so far
   */
  constructor(
    name: string,
    readonly moments: readonly Variable[],
    public step = 0,
  ) {
    this.name = name;
  }

  get shape(): readonly number[] {
    return this.moments[0]!.shape;
  }

  dispose(tf: Tf): void {
    for (const moment of this.moments) disposeVariable(tf, moment);
  }
}
