import { ArenaPlacement } from "./arena.js";
import { CopiedSeat, checkCopies } from "./copied.js";
import type { Core } from "./core.js";
import { HeapPlacement, heapOf } from "./heap.js";
import { WEBGPU } from "./readable.js";
import type { Settings } from "./settings.js";
import { SharedSeat, sharesArrays } from "./shared.js";
import type { Slot } from "./slot.js";
import type { KernelBackend, Tensor, Tf } from "./types.js";

/** A variable's slot and its gradient, in a step. */
export interface Part {
  readonly slot: Slot;
  readonly gradient: Tensor;
}

/** Variables, moments and gradients where the kernels can reach them, on one backend. */
export interface Placement {
  readonly backend: KernelBackend;
  readonly core: Core;
  /** Before a step. Whatever a user of tfjs can see has the values it had. */
  load(parts: readonly Part[]): void;
  /** After a step: tfjs sees what it changed. */
  store(parts: readonly Part[]): void;
  /** The variables that stand for moments have their values. */
  publish(): void;
  /** Every variable has its values, and none of them hangs on this any more. */
  release(): void;
}

/** The best that the backend of the moment allows: on its own memory, on ours, or by copying. */
export function place(tf: Tf, settings: Settings, slots: readonly Slot[]): Placement {
  const backend = tf.backend();
  if (tf.getBackend() === WEBGPU) checkCopies(tf, backend);
  const heap = heapOf(tf, backend);
  if (heap !== undefined) return new HeapPlacement(tf, backend, heap, settings, slots);
  if (sharesArrays(tf, backend)) {
    return new ArenaPlacement(
      backend,
      settings,
      slots,
      (variable, view) => new SharedSeat(tf, backend, variable, view),
    );
  }
  checkCopies(tf, backend);
  return new ArenaPlacement(backend, settings, slots, (variable, view) => new CopiedSeat(tf, variable, view));
}
