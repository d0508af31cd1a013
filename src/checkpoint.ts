/**
 * Checkpoints: the whole state of an optimizer as one safetensors file under a checksum, and states in the layouts of PyTorch,
 * TensorFlow.js and optax.
 *
 * @packageDocumentation
 */
import { checkCheckpoint } from "./checkpoint/load.js";
import { allocate, exclusively, planCheckpoint } from "./checkpoint/save.js";
import { checkUint8Array } from "./checks/arrays.js";
import type { Bytes } from "./checks/libraries.js";
import { isShared } from "./memory/shared.js";
import type { Optimizer } from "./optimizer/optimizer.js";

export { fromOptax, type OptaxState, toOptax } from "./checkpoint/interop/optax.js";
export { fromTfjs, type TfjsWeight, toTfjs } from "./checkpoint/interop/tfjs.js";
export {
  fromTorch,
  type TorchGroup,
  type TorchState,
  type TorchStateDict,
  toTorch,
} from "./checkpoint/interop/torch.js";

/** What goes into a checkpoint. */
export interface CheckpointOptions {
  /** Whether the parameters go into it, too. Default false: only what the optimizer itself needs to go on. */
  readonly params?: boolean | undefined;
}

/**
 * The optimizer's state as a safetensors file: moments, step counts, hyper-parameters and, when asked for, parameters, under
 * a checksum. Two calls without a step in between give the same bytes.
 *
 * @throws RangeError `ERR_NON_FINITE` for a state that would be refused when it is loaded, `ERR_DUPLICATE_NAME` where a
 * parameter is called what another's moment is, `ERR_OUT_OF_MEMORY`; Error `ERR_BUSY`, `ERR_DISPOSED`
 * @example
 * import { AdamW } from "fused-adam";
 * import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
 *
 * const optimizer = AdamW.createSync({ w: new Float32Array([1, 2, 3]) });
 * const bytes = encodeCheckpoint(optimizer, { params: true });
 * loadCheckpoint(AdamW.createSync({ w: { shape: [3] } }), bytes);
 */
export function encodeCheckpoint(optimizer: Optimizer, options?: CheckpointOptions): Bytes {
  return exclusively(optimizer, (groups, whole) => {
    whole.check();
    const { header, parts, length } = planCheckpoint(groups, optimizer.kernel, options);
    const bytes = allocate("checkpoint", length);
    bytes.set(header);
    let at = header.length;
    for (const part of parts) {
      const view = part.bytes();
      bytes.set(view, at);
      at += view.length;
    }
    return bytes;
  });
}

/**
 * Takes over a checkpoint, by name and shape: moments, step counts and hyper-parameters, and the parameters if it has them.
 * All or nothing: it throws before anything changes. Schedules stay, and nothing of `bytes` is kept.
 *
 * @throws RangeError `ERR_CHECKPOINT` for what is not a whole checkpoint, `ERR_CHECKSUM` for one that was changed,
 * `ERR_SHAPE_MISMATCH`, `ERR_STATE_MISMATCH`, `ERR_NON_FINITE`, `ERR_OUT_OF_RANGE` for one that does not fit; TypeError for
 * what is not a Uint8Array; Error `ERR_BUSY`, `ERR_DISPOSED`
 */
export function loadCheckpoint(optimizer: Optimizer, bytes: Uint8Array): void {
  exclusively(optimizer, (groups, whole) => {
    const file = checkUint8Array("bytes", bytes);
    // Bytes that loading may overwrite, and bytes that another thread can change between check and use, are copied first.
    const copied = file.buffer === optimizer.memory.buffer || isShared(file);
    checkCheckpoint(groups, copied ? file.slice() : file)();
    whole.restore();
  });
}
