import { assignValues } from "../tensors.js";
import type { KernelBackend, Tf, Variable } from "../types.js";
import type { Seat } from "./arena.js";

/** A backend that keeps tensors as arrays, as tfjs's cpu backend does. */
interface ArrayBackend extends KernelBackend {
  readonly data: { get(dataId: object): { values: Float32Array } };
}

const typedArray: object = Object.getPrototypeOf(Float32Array.prototype);

/**
 * What views that tfjs holds are made by. They are Float32Arrays in everything but `instanceof`, so that only kernels work on
 * them: `dataSync()`, `data()` and `bytes()` find that they are none and hand out copies, and a slice of one is a copy.
 * Handed out themselves, they would change with the next step in the hands of whoever keeps them.
 */
function Guarded(): void {}
Guarded.prototype = Object.create(typedArray, {
  constructor: { value: Float32Array },
  BYTES_PER_ELEMENT: { value: Float32Array.BYTES_PER_ELEMENT },
  subarray: { value: Float32Array.prototype.slice },
});

function guarded({ buffer, byteOffset, length }: Float32Array): Float32Array {
  return Reflect.construct(Float32Array, [buffer, byteOffset, length], Guarded);
}

const copying = new WeakSet<ArrayBackend>();

/**
 * Has a backend copy regions that it is given as a tensor's values: `tf.complex` and `tf.cast` to complex64 keep the arrays of
 * their parts as they are, under other data, where a step would change them.
 */
function copyWrites(backend: ArrayBackend): void {
  if (copying.has(backend)) return;
  copying.add(backend);
  const { write } = backend;
  backend.write = function (values, ...rest) {
    const isRegion = ArrayBuffer.isView(values) && Object.getPrototypeOf(values) === Guarded.prototype;
    return write.call(this, isRegion ? new Float32Array(values as Float32Array) : values, ...rest);
  };
}

const probed = new WeakMap<KernelBackend, boolean>();

/** Whether a tensor's array can be exchanged for another, and kernels and `dataSync()` then read that. */
export function sharesArrays(tf: Tf, backend: KernelBackend): backend is ArrayBackend {
  let shares = probed.get(backend);
  if (shares === undefined) {
    shares = probe(tf, backend as ArrayBackend);
    probed.set(backend, shares);
  }
  return shares;
}

function probe(tf: Tf, backend: ArrayBackend): boolean {
  try {
    return tf.tidy(() => {
      const tensor = tf.tensor(Float32Array.of(1, 2), [2], "float32");
      backend.data.get(tensor.dataId).values = guarded(Float32Array.of(3, 4));
      const sum = tf.add(tensor, tensor);
      return String(tensor.dataSync()) === "3,4" && String(sum.dataSync()) === "6,8";
    });
  } catch {
    // Not what it was taken for.
    return false;
  }
}

/**
 * A variable whose array is the region itself. Data that something else shares is left to it, as a copy; the
 * variable then has the region under data of its own.
 */
export class SharedSeat implements Seat {
  readonly #guarded: Float32Array;
  /** The data whose array the region last was. */
  #dataId: object | undefined;

  constructor(
    readonly tf: Tf,
    readonly backend: ArrayBackend,
    readonly variable: Variable,
    readonly view: Float32Array,
  ) {
    this.#guarded = guarded(view);
    copyWrites(backend);
  }

  pull(): void {
    const { tf, backend, variable, view } = this;
    // Brings it here from another backend.
    const { values } = backend.data.get(variable.dataId);
    const shared = backend.refCount(variable.dataId) > 1;
    if (values === this.#guarded && !shared) return;
    this.leave();
    if (values !== this.#guarded) view.set(values);
    if (shared) assignValues(tf, variable, view);
    backend.data.get(variable.dataId).values = this.#guarded;
    this.#dataId = variable.dataId;
  }

  push(): void {}

  leave(): void {
    if (this.#dataId === undefined || this.backend.refCount(this.#dataId) === 0) return;
    const data = this.backend.data.get(this.#dataId);
    if (data.values === this.#guarded) data.values = this.view.slice();
  }
}
