import type { Seat } from "./arena.js";
import { assignValues } from "./tensors.js";
import type { Tf, Variable } from "./types.js";

/** A variable that is read when somebody else has given it other data, and written by giving it other data. */
export class CopiedSeat implements Seat {
  /** What the variable had when both were last the same. */
  #dataId: object | undefined;

  constructor(
    readonly tf: Tf,
    readonly variable: Variable,
    readonly view: Float32Array,
  ) {}

  pull(): void {
    const { dataId } = this.variable;
    if (dataId === this.#dataId) return;
    this.view.set(this.variable.dataSync());
    this.#dataId = dataId;
  }

  push(): void {
    const { variable, view } = this;
    // Data that somebody else has given it since is newer than the region.
    if (variable.isDisposed || variable.dataId !== this.#dataId) return;
    // A copy: a GPU backend keeps the array until it has use for it.
    assignValues(this.tf, variable, view.slice());
    this.#dataId = variable.dataId;
  }

  leave(): void {}
}
