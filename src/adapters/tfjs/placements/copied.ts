import { fail, show } from "../../../checks/errors.js";
import { warnOnce } from "../../../checks/warn.js";
import { WEBGPU } from "../readable.js";
import { assignValues, inUse } from "../tensors.js";
import type { KernelBackend, Tf, Variable } from "../types.js";
import type { Seat } from "./arena.js";

const checked = new WeakSet<KernelBackend>();

/**
 * Says what copying costs, and makes sure that what is read is what was computed.
 *
 * @throws Error `ERR_BACKEND` where it is not, and on webgpu, which is not even tried
 */
export function checkCopies(tf: Tf, backend: KernelBackend): void {
  const name = tf.getBackend();
  if (name === WEBGPU) {
    fail(Error, "ERR_BACKEND", name, "a backend that can be read synchronously", "one that cannot: train on another");
  }
  warnOnce(
    `tensors of the "${name}" backend are out of reach, so every step reads the gradients from it and writes the ` +
      "parameters to it: 8 bytes per parameter and, on a GPU, a wait until it is idle",
  );
  if (checked.has(backend)) return;
  // Small and large, one after the other: each goes another way.
  for (const length of [5, 100_000, 5]) {
    tf.tidy(() => {
      const sums = tf.add(tf.tensor(new Float32Array(length).fill(1), [length], "float32"), 1).dataSync();
      const wrong = sums.findIndex((value) => value !== 2);
      if (wrong >= 0) {
        const got = `${show(sums[wrong])} where it has 2: train on another backend`;
        fail(Error, "ERR_BACKEND", name, "a backend that can be read synchronously", got);
      }
    });
  }
  checked.add(backend);
}

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
    const { tf, variable, view } = this;
    // Data that somebody else has given it since is newer than the region.
    if (!inUse(tf, variable) || variable.dataId !== this.#dataId) return;
    // A copy: a GPU backend keeps the array until it has use for it.
    assignValues(tf, variable, view.slice());
    this.#dataId = variable.dataId;
  }

  leave(): void {}
}
