/**
 * Checkpoints: the whole state of an optimizer as one safetensors file under a checksum, and states in the layouts of PyTorch,
 * TensorFlow.js and optax.
 *
 * @packageDocumentation
 */
import { checkCheckpoint } from "./checkpoint/load.js";
import { encodePlan, exclusively, planCheckpoint } from "./checkpoint/save.js";
import { checkUint8Array } from "./checks/arrays.js";
import type { Bytes } from "./checks/libraries.js";
import type { CheckpointReport, LoadOptions, ParamSource } from "./checks/types.js";
import { isShared } from "./memory/shared.js";
import type { Optimizer } from "./optimizer/optimizer.js";
import { readLoad } from "./optimizer/stateDict.js";

export { fromOptax, type OptaxState, toOptax } from "./checkpoint/interop/optax.js";
export { fromTfjs, type TfjsWeight, toTfjs } from "./checkpoint/interop/tfjs.js";
export {
  type FromTorchOptions,
  fromTorch,
  type TorchGroup,
  type TorchNumber,
  type TorchState,
  type TorchStateDict,
  toTorch,
} from "./checkpoint/interop/torch.js";
export type { CheckpointReport } from "./checks/types.js";

/** What goes into a checkpoint. */
export interface CheckpointOptions {
  /** Whether the parameters go into it. Default true; false leaves only what the optimizer itself needs to go on. */
  readonly params?: boolean | undefined;
  /** Texts of your own: an epoch, a random state, a name. They come back from loading. Default none. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /**
   * Float32 tensors of your own, an average of the weights for example, under names that no parameter and no moment has. They come back
   * bit for bit, flat; the file has their shape. Default none.
   */
  readonly tensors?: Readonly<Record<string, ParamSource>> | undefined;
}

/**
 * The optimizer's state as a safetensors file: parameters, moments, step counts and hyper-parameters, and what else you put in, under
 * a checksum. Two calls without a step in between give the same bytes.
 *
 * @throws RangeError `ERR_NON_FINITE` for a state that would be refused when it is loaded, `ERR_DUPLICATE_NAME` where a
 * parameter is called what another's moment is, or a tensor of your own what either is, `ERR_OUT_OF_MEMORY`; TypeError for metadata
 * that are no strings and tensors that are not float32; Error `ERR_BUSY`, `ERR_DISPOSED`
 * @example
 * import { AdamW } from "fused-adam";
 * import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
 *
 * const optimizer = AdamW.createSync({ w: new Float32Array([1, 2, 3]) });
 * const bytes = encodeCheckpoint(optimizer, { metadata: { epoch: "7" } });
 * const { metadata } = loadCheckpoint(
 *   AdamW.createSync({ w: { shape: [3] } }),
 *   bytes,
 * );
 * console.log(metadata.epoch); // 7
 */
export function encodeCheckpoint(optimizer: Optimizer, options?: CheckpointOptions): Bytes {
  return exclusively(optimizer, (groups, whole) => {
    whole.check();
    return encodePlan(planCheckpoint(groups, optimizer.kernel, options));
  });
}

/**
 * Takes over a checkpoint, by name and shape: moments, step counts and hyper-parameters, and the parameters if it has them.
 * All or nothing: it throws before anything changes. Schedules stay, and nothing of `bytes` is kept. `lr`, `weightDecay` and the others
 * become the checkpoint's, unless `keepOptions` is asked for.
 *
 * @throws RangeError `ERR_CHECKPOINT` for what is not a whole checkpoint, `ERR_CHECKSUM` for one that was changed,
 * `ERR_SHAPE_MISMATCH`, `ERR_STATE_MISMATCH`, `ERR_NON_FINITE`, `ERR_OUT_OF_RANGE` for one that does not fit; TypeError for
 * what is not a Uint8Array; Error `ERR_BUSY`, `ERR_DISPOSED`
 */
export function loadCheckpoint(optimizer: Optimizer, bytes: Uint8Array, options?: LoadOptions): CheckpointReport {
  return exclusively(optimizer, (groups, whole) => {
    const settings = readLoad(options);
    const file = checkUint8Array("bytes", bytes);
    // Bytes that loading may overwrite, and bytes that another thread can change between check and use, are copied first.
    const copied = file.buffer === optimizer.memory.buffer || isShared(file);
    const { report, apply } = checkCheckpoint(groups, copied ? file.slice() : file, settings);
    apply();
    whole.restore();
    return report;
  });
}
