import type { Placement } from "../placement.js";
import { WEBGPU } from "../readable.js";
import type { Settings } from "../settings.js";
import type { Slot } from "../slot.js";
import type { Tf, Variable } from "../types.js";
import { ArenaPlacement } from "./arena.js";
import { CopiedSeat, checkCopies } from "./copied.js";
import { HeapPlacement, heapOf } from "./heap.js";
import { SharedSeat, sharesArrays } from "./shared.js";

/** The best that the backend of the moment allows: on its own memory, on ours, or by copying. */
export function place(tf: Tf, settings: Settings, slots: readonly Slot[]): Placement {
  const backend = tf.backend();
  if (tf.getBackend() === WEBGPU) checkCopies(tf, backend);
  const heap = heapOf(tf, backend);
  if (heap !== undefined) return new HeapPlacement(tf, backend, heap, settings, slots);
  if (sharesArrays(tf, backend)) {
    const seat = (variable: Variable, view: Float32Array) => new SharedSeat(tf, backend, variable, view);
    return new ArenaPlacement(tf, backend, settings, slots, seat);
  }
  checkCopies(tf, backend);
  return new ArenaPlacement(tf, backend, settings, slots, (variable, view) => new CopiedSeat(tf, variable, view));
}
