import { checkFinite } from "../checks/arrays.js";
import { CHECKPOINT_DEFAULTS, type CheckpointSettings } from "../checks/defaults.js";
import { fail, failMismatch, failType, showShape } from "../checks/errors.js";
import type { KernelKind } from "../checks/types.js";
import { checkBoolean, checkObject, isRecord, optionReader } from "../checks/values.js";
import { VERSION } from "../generated/version.js";
import type { Region } from "../memory/regions.js";
import type { Group } from "../optimizer/group.js";
import { EXCLUSIVELY, type Optimizer, type Wholeness } from "../optimizer/optimizer.js";
import { readGroupState } from "../optimizer/stateDict.js";
import type { Tensor } from "../optimizer/tensor.js";
import { DIGITS_AT, hashAround, writeMetadata } from "./format.js";
import { serializeHeader, type TensorSpec } from "./safetensors.js";
import { encodeUtf8 } from "./text.js";

/** Runs with an optimizer's groups, and keeps other calls out meanwhile. @throws TypeError for what is no optimizer of this version of the package */
export function exclusively<T>(optimizer: Optimizer, run: (groups: readonly Group[], whole: Wholeness) => T): T {
  if (!isRecord(optimizer) || typeof optimizer[EXCLUSIVELY] !== "function") {
    failType("optimizer", `an Adam or an AdamW of fused-adam ${VERSION}`, optimizer);
  }
  return optimizer[EXCLUSIVELY](run);
}

/** Bytes for a whole file. @throws RangeError `ERR_OUT_OF_MEMORY` */
export function allocate(label: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    fail(RangeError, "ERR_OUT_OF_MEMORY", label, "as many bytes as the host grants", String(length), cause);
  }
}

const readOptions = optionReader<CheckpointSettings>({ params: checkBoolean });

/** A region that becomes a tensor of the file. */
interface Part extends TensorSpec {
  /** A view, valid until the memory grows. */
  bytes(): Uint8Array;
}

/** A checkpoint without its data: the file is `header`, then the bytes of each part, `length` bytes in all. */
export interface Plan {
  readonly header: Uint8Array;
  readonly parts: readonly Part[];
  readonly length: number;
  readonly digits: string;
}

/** Checks that the state could be loaded again, and makes everything before the data, checksum included. */
export function planCheckpoint(groups: readonly Group[], kernel: KernelKind, options: unknown = {}): Plan {
  const { params } = readOptions(checkObject("options", options, ["params"]), CHECKPOINT_DEFAULTS);
  checkWhole(groups);
  const parts = groups.flatMap(({ tensors }) => tensors.flatMap((tensor) => partsOf(tensor, params)));
  const header = serializeHeader(
    parts,
    writeMetadata({
      steps: new Map(groups.flatMap(({ tensors }) => tensors.map(({ name, step }) => [name, step]))),
      groups: groups.map(readGroupState),
      kernel,
    }),
  );
  const hash = hashAround(DIGITS_AT, header);
  let { length } = header;
  for (const part of parts) {
    const view = part.bytes();
    hash.update(view);
    length += view.length;
  }
  const digits = hash.digest();
  header.set(encodeUtf8(digits), DIGITS_AT);
  return { header, parts, length, digits };
}

/** Refuses parts of tensors, which somebody who has the file alone would take for the whole. @throws RangeError `ERR_STATE_MISMATCH` */
export function checkWhole(groups: readonly Group[]): void {
  for (const { name, shape, part } of groups.flatMap(({ tensors }) => tensors)) {
    if (part.length === 0) continue;
    const got = `rows ${showShape(part)} of shape ${showShape(shape)}`;
    failMismatch(name, "a whole tensor (fused-adam/shards is for parts)", got);
  }
}

/** The parameter, if it is asked for, then the moments. Checked as in loading, the moments first. */
function partsOf(tensor: Tensor, params: boolean): Part[] {
  const part = ({ name: region, key, signed, storage }: Region): Part => {
    const name = key === undefined ? tensor.name : `${tensor.name}.${key}`;
    checkFinite(key === undefined ? name : `state.${name}`, tensor.view(region), signed);
    const bytes = () => new Uint8Array(tensor.memory.buffer, tensor.at[region], tensor.length * storage.bytes);
    return { name, dtype: storage.dtype, shape: tensor.shape, bytes };
  };
  const moments = tensor.regions.filter(({ role }) => role === "moment").map(part);
  return params ? [...tensor.regions.filter(({ role }) => role === "param").map(part), ...moments] : moments;
}
