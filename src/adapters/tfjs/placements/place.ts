import type { Placement } from "../placement.js";
import { WEBGPU } from "../readable.js";
import type { Settings } from "../settings.js";
import type { Slot } from "../slot.js";
import type { Tf, Variable } from "../types.js";
import { ArenaPlacement } from "./arena.js";
import { CopiedSeat, checkCopies } from "./copied.js";
import type { Known } from "./gpu/device.js";
import { checkDevice } from "./gpu/lost.js";
import { isWebGl, WebGlPlacement } from "./gpu/webgl.js";
import { isWebGpu, WebGpuPlacement } from "./gpu/webgpu.js";
import { HeapPlacement, heapOf } from "./heap.js";
import { SharedSeat, sharesArrays } from "./shared.js";

/** Whether variables and moments stay on a GPU here. */
export function staysOnDevice(tf: Tf, { gpu }: Settings): boolean {
  const backend = tf.backend();
  return gpu === "auto" && (isWebGpu(backend) || isWebGl(tf, backend));
}

/**
 * The best that the backend of the moment allows: on its device, on its own memory, on ours, or by copying. The code of all of them is
 * there from the start. A step is synchronous: it could not wait for a module, and what trains on meanwhile would see old values.
 */
export function place(tf: Tf, settings: Settings, slots: readonly Slot[], known: Known): Placement {
  const backend = tf.backend();
  checkDevice(tf.getBackend(), backend);
  if (settings.gpu === "auto") {
    if (isWebGpu(backend)) return new WebGpuPlacement(tf, backend, settings, slots, known);
    if (isWebGl(tf, backend)) return new WebGlPlacement(tf, backend, settings, slots, known);
  }
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
