import { fail } from "../../../checks/errors.js";
import type { StepOptions, StepResult } from "../../../checks/types.js";
import { FLOAT32, NONE, type Pointers } from "../../../memory/regions.js";
import { byteLength } from "../../../memory/shared.js";
import type { Part, Placement } from "../placement.js";
import type { Settings } from "../settings.js";
import type { Slot } from "../slot.js";
import { assignValues, isVariable } from "../tensors.js";
import type { KernelBackend, Tensor, Tf } from "../types.js";
import { Core, type Transfer } from "./core.js";

/** tfjs's wasm backend, as far as it is used. Only `getMemoryOffset` is public. */
interface WasmBackend extends KernelBackend {
  getMemoryOffset(dataId: object): number;
  readonly dataIdMap: { get(dataId: object): { id: number; memoryOffset: number } };
  readonly wasm: {
    /** Of builds without threads. */
    readonly asm?: { readonly memory?: WebAssembly.Memory };
    /** Of the threaded build. */
    readonly wasmMemory?: WebAssembly.Memory;
    readonly tfjs: {
      disposeData(id: number): void;
      registerTensor(id: number, size: number, memoryOffset: number): void;
    };
  };
}

/** A backend's linear memory, and how to find one's way in it. */
export class Heap {
  readonly memory: WebAssembly.Memory;

  constructor(readonly backend: WasmBackend) {
    this.memory = backend.wasm.wasmMemory ?? backend.wasm.asm!.memory!;
  }

  /** Where a tensor's data begins, in bytes. Brings it here from another backend. */
  address({ dataId, size, id }: Tensor): number {
    const address = this.backend.getMemoryOffset(dataId) >>> 0;
    const end = address + FLOAT32.bytes * size;
    const length = byteLength(this.memory, end);
    if (size > 0 && (address % FLOAT32.bytes !== 0 || end > length)) {
      const expected = `aligned data inside [0, ${length})`;
      fail(RangeError, "ERR_OUT_OF_BOUNDS", `tensor ${id}`, expected, `[${address}, ${end})`);
    }
    return address;
  }

  /**
   * Makes the backend forget what it derived from a tensor's data: it packs the weights of matMul, conv2d and others for their
   * next use, and keeps them for as long as the tensor is registered.
   */
  renew({ dataId, size }: Tensor): void {
    const { id, memoryOffset } = this.backend.dataIdMap.get(dataId);
    this.backend.wasm.tfjs.disposeData(id);
    this.backend.wasm.tfjs.registerTensor(id, size, memoryOffset);
  }
}

const probed = new WeakMap<KernelBackend, Heap | undefined>();

/** The backend's heap, if what it has there can be written in place. */
export function heapOf(tf: Tf, backend: KernelBackend): Heap | undefined {
  if (!probed.has(backend)) probed.set(backend, probe(tf, backend as WasmBackend));
  return probed.get(backend);
}

function probe(tf: Tf, backend: WasmBackend): Heap | undefined {
  try {
    const heap = new Heap(backend);
    // A build of tfjs may leave kernels out: without matMul it has no weights packed for one.
    const multiplies = Boolean(tf.getKernel("BatchMatMul", tf.getBackend()));
    const works = tf.tidy(() => {
      const tensor = tf.tensor(Float32Array.of(2), [1, 1], "float32");
      const square = () => (multiplies ? tf.matMul(tensor, tensor).dataSync()[0] : tensor.dataSync()[0]! ** 2);
      const before = square();
      new Float32Array(heap.memory.buffer, heap.address(tensor), 1)[0] = 3;
      heap.renew(tensor);
      return before === 4 && tensor.dataSync()[0] === 3 && square() === 9;
    });
    return works ? heap : undefined;
  } catch {
    // Not what it was taken for.
    return undefined;
  }
}

/** Variables and moments where tfjs has them, each step where it has them then, and gradients too: nothing is copied. */
export class HeapPlacement implements Placement, Transfer {
  readonly #core: Core;

  constructor(
    readonly tf: Tf,
    readonly backend: KernelBackend,
    readonly heap: Heap,
    settings: Settings,
    slots: readonly Slot[],
  ) {
    for (const slot of slots) this.#own(slot);
    // The core starts moments at zero, and wants each parameter's gradient at a place of its own.
    const moments = slots.flatMap((slot) => slot.moments.map((moment) => ({ moment, values: moment.dataSync() })));
    const stand = tf.zeros([slots.reduce((sum, { variable }) => sum + variable!.size, 0)]);
    try {
      let grad = heap.address(stand);
      const source = (slot: Slot) => {
        const { maxExpAvgSq, copy: _, ...at } = this.#pointers(slot, grad);
        const { size } = slot.variable!;
        grad += FLOAT32.bytes * size;
        return { length: size, ...at, maxExpAvgSq: maxExpAvgSq === NONE ? undefined : maxExpAvgSq };
      };
      this.#core = new Core(settings, slots, source, heap.memory);
    } finally {
      stand.dispose();
      for (const { moment, values } of moments) {
        new Float32Array(heap.memory.buffer, heap.address(moment), values.length).set(values);
      }
    }
  }

  step(parts: readonly Part[], options: StepOptions): StepResult {
    return this.#core.step(this.tf, parts, options, this);
  }

  load(parts: readonly Part[]): void {
    const { tf, heap } = this;
    const read = parts.map(({ slot, gradient }) => {
      this.#own(slot);
      // A variable may be one that the step writes.
      return isVariable(gradient) ? tf.tensor(gradient.dataSync(), gradient.shape, "float32") : gradient;
    });
    // Only now: what was made on the way may have been put elsewhere.
    const places = new Map(parts.map(({ slot }, i) => [slot, this.#pointers(slot, heap.address(read[i]!))]));
    this.#core.relocate(places);
  }

  store(parts: readonly Part[]): void {
    for (const { slot } of parts) this.heap.renew(slot.variable!);
  }

  publish(): void {}

  release(): void {
    this.#core.dispose();
  }

  /** Data that something else shares is left to it. */
  #own(slot: Slot): void {
    for (const variable of [slot.variable!, ...slot.moments]) {
      // Brings it here from another backend, which would not know its count.
      this.heap.address(variable);
      if (this.backend.refCount(variable.dataId) > 1) assignValues(this.tf, variable, variable.dataSync<"float32">());
    }
  }

  #pointers({ variable, moments }: Slot, grad: number): Pointers {
    const [expAvg, expAvgSq, maxExpAvgSq] = moments.map((moment) => this.heap.address(moment));
    return {
      param: this.heap.address(variable!),
      grad,
      expAvg: expAvg!,
      expAvgSq: expAvgSq!,
      maxExpAvgSq: maxExpAvgSq ?? NONE,
      copy: NONE,
    };
  }
}
