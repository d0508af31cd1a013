import { checkFinite, checkFloat32Array } from "../checks/arrays.js";
import { CHECKPOINT_DEFAULTS, type CheckpointSettings, type UserTensor } from "../checks/defaults.js";
import { fail, failMismatch, failType, show, showShape } from "../checks/errors.js";
import type { Bytes } from "../checks/libraries.js";
import type { KernelKind } from "../checks/types.js";
import { type Checks, checkBoolean, checkRecord, isRecord, optionsReader } from "../checks/values.js";
import { VERSION } from "../generated/version.js";
import { readParam } from "../memory/params.js";
import { FLOAT32, type Region } from "../memory/regions.js";
import { isShared } from "../memory/shared.js";
import type { Group } from "../optimizer/group.js";
import { EXCLUSIVELY, type Optimizer, type Wholeness } from "../optimizer/optimizer.js";
import { readGroupState } from "../optimizer/stateDict.js";
import type { Tensor } from "../optimizer/tensor.js";
import { joined } from "./allocate.js";
import { DIGITS_AT, hashAround, isReserved, writeMetadata } from "./format.js";
import { serializeHeader, type TensorSpec } from "./safetensors.js";
import { checkText, checkTexts, encodeUtf8 } from "./text.js";

/** Runs with an optimizer's groups, and keeps other calls out meanwhile. @throws TypeError for what is no optimizer of this version of the package */
export function exclusively<T>(optimizer: Optimizer, run: (groups: readonly Group[], whole: Wholeness) => T): T {
  if (!isRecord(optimizer) || typeof optimizer[EXCLUSIVELY] !== "function") {
    failType("optimizer", `an Adam or an AdamW of fused-adam ${VERSION}`, optimizer);
  }
  return optimizer[EXCLUSIVELY](run);
}

const CHECKS: Checks<CheckpointSettings> = { params: checkBoolean, metadata: checkTexts, tensors: checkTensors };
const readOptions = optionsReader(CHECKS, CHECKPOINT_DEFAULTS);

function checkTensors(label: string, value: unknown): UserTensor[] {
  return Object.entries(checkRecord(label, value, "an object of tensors")).map(([name, source]) => {
    checkText(label, name);
    if (name === "") fail(RangeError, "ERR_EMPTY_NAME", label, "names of at least one character", "an empty name");
    const { shape, data } = readParam(name, `${label}.${name}`, source);
    if (data?.length !== shape.reduce((product, size) => product * size, 1)) {
      failType(`${label}.${name}`, "a Float32Array or { shape, data }, a whole tensor", source);
    }
    return { name, shape, data };
  });
}

/** A region that becomes a tensor of the file. */
export interface Part extends TensorSpec {
  /** A view, valid until the memory grows. */
  bytes(): Uint8Array;
}

/** A file without its data: it is `header`, then the bytes of each part. */
export interface Plan {
  readonly header: Uint8Array;
  readonly parts: readonly Part[];
  /** The checksum of the whole file, with zeros in place of the header's own digits. */
  readonly digits: string;
}

export function planFile(header: Uint8Array, parts: readonly Part[]): Plan {
  const hash = hashAround(DIGITS_AT, header);
  for (const part of parts) hash.update(part.bytes());
  return { header, parts, digits: hash.digest() };
}

/** Checks that the state could be loaded again, and makes everything before the data, checksum included. */
export function planCheckpoint(groups: readonly Group[], kernel: KernelKind, options?: unknown): Plan {
  const { params, metadata, tensors } = readOptions(options);
  checkWhole(groups);
  const own = groups.flatMap(({ tensors }) => tensors);
  const steps = new Map(own.map(({ name, step }) => [name, step]));
  for (const { name } of tensors) {
    if (!isReserved(steps, name)) continue;
    fail(RangeError, "ERR_DUPLICATE_NAME", `tensors.${name}`, "a name that no parameter's tensor can have", show(name));
  }
  const { memory } = own[0]!;
  const parts = [
    ...own.flatMap((tensor) => {
      // Checked first, as in loading.
      const moments = partsOf(tensor, "moment");
      return params ? [...partsOf(tensor, "param"), ...moments] : moments;
    }),
    ...tensors.map((tensor) => userPart(tensor, memory)),
  ];
  const names = tensors.map(({ name }) => name);
  const info = { steps, groups: groups.map(readGroupState), kernel, metadata, tensors: names };
  const plan = planFile(serializeHeader(parts, writeMetadata(info)), parts);
  plan.header.set(encodeUtf8(plan.digits), DIGITS_AT);
  return plan;
}

/** The whole file. */
export function encodePlan({ header, parts }: Plan): Bytes {
  return joined("checkpoint", [header, ...parts.map((part) => part.bytes())]);
}

/** Refuses parts of tensors, which somebody who has the file alone would take for the whole. @throws RangeError `ERR_STATE_MISMATCH` */
export function checkWhole(groups: readonly Group[]): void {
  for (const { name, shape, part } of groups.flatMap(({ tensors }) => tensors)) {
    if (part.length === 0) continue;
    const got = `rows ${showShape(part)} of shape ${showShape(shape)}`;
    failMismatch(name, "a whole tensor (fused-adam/shards is for parts)", got);
  }
}

/** The parameter, or the moments. Checked as in loading. */
export function partsOf(tensor: Tensor, wanted: Region["role"]): Part[] {
  return tensor.regions
    .filter(({ role }) => role === wanted)
    .map(({ name: region, key, signed, storage }) => {
      const name = key === undefined ? tensor.name : `${tensor.name}.${key}`;
      checkFinite(
        key === undefined ? name : `state.${name}`,
        storage.bytes === 4 ? tensor.view(region) : tensor.read(region),
        signed,
      );
      const bytes = () => new Uint8Array(tensor.memory.buffer, tensor.at[region], tensor.length * storage.bytes);
      return { name, dtype: storage.dtype, shape: tensor.shape, bytes };
    });
}

/** Its bits, whatever they are. What another thread can change, and what goes when a memory grows, is copied. */
function userPart({ name, shape, data }: UserTensor, memory: WebAssembly.Memory): Part {
  const values = isShared(data) || data.buffer === memory.buffer ? data.slice() : data;
  const bytes = () => {
    const { buffer, byteOffset, byteLength } = checkFloat32Array(`tensors.${name}`, values);
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { name, dtype: FLOAT32.dtype, shape, bytes };
}
