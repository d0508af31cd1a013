import { checkFinite } from "../checks/arrays.js";
import { fail, failType } from "../checks/errors.js";
import { checkBoolean, checkObject, own } from "../checks/options.js";
import type { KernelKind } from "../checks/types.js";
import { VERSION } from "../generated/version.js";
import type { Pointers } from "../memory/params.js";
import type { Group, Tensor } from "../optimizer/group.js";
import { EXCLUSIVELY, type Optimizer, type Wholeness } from "../optimizer/optimizer.js";
import { momentsOf, readGroupState } from "../optimizer/stateDict.js";
import { DIGITS_AT, hashAround, writeMetadata } from "./format.js";
import { serializeHeader } from "./safetensors.js";

/** Runs with an optimizer's groups while it is busy. @throws TypeError for what is no optimizer of this version of the package */
export function exclusively<T>(optimizer: Optimizer, run: (groups: readonly Group[], whole: Wholeness) => T): T {
  if (typeof optimizer?.[EXCLUSIVELY] !== "function") {
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

/** A run of float32 in linear memory that becomes a tensor of the file. */
interface Region {
  readonly name: string;
  readonly shape: readonly number[];
  /** Good until memory grows. */
  bytes(): Uint8Array;
}

/** A checkpoint without its data: the file is `header`, then the regions in order, `length` bytes in all. */
export interface Plan {
  readonly header: Uint8Array;
  readonly regions: readonly Region[];
  readonly length: number;
  readonly digits: string;
}

/** Checks that the state can be loaded again, and forms everything up to the data, checksum included. */
export function planCheckpoint(groups: readonly Group[], kernel: KernelKind, options: unknown = {}): Plan {
  checkObject("options", options, ["params"]);
  const wanted = own(options as object, "params");
  const params = wanted === undefined ? false : checkBoolean("params", wanted);
  const regions = groups.flatMap((group) => group.tensors.flatMap((tensor) => regionsOf(group, tensor, params)));
  const header = serializeHeader(
    regions.map(({ name, shape }) => ({ name, dtype: "F32", shape })),
    writeMetadata({
      steps: new Map(groups.flatMap(({ tensors }) => tensors.map(({ name, step }) => [name, step]))),
      groups: groups.map(readGroupState),
      kernel,
    }),
  );
  const hash = hashAround(DIGITS_AT, header);
  let { length } = header;
  for (const region of regions) {
    const view = region.bytes();
    hash.update(view);
    length += view.length;
  }
  const digits = hash.digest();
  new TextEncoder().encodeInto(digits, header.subarray(DIGITS_AT));
  return { header, regions, length, digits };
}

function regionsOf(group: Group, tensor: Tensor, params: boolean): Region[] {
  const region = (name: string, label: string, region: keyof Pointers, signed: boolean): Region => {
    checkFinite(label, tensor.view(region), signed);
    const bytes = () => new Uint8Array(tensor.memory.buffer, tensor.at[region], 4 * tensor.length);
    return { name, shape: tensor.shape, bytes };
  };
  const { name } = tensor;
  const moments = momentsOf(group).map((moment) =>
    region(`${name}.${moment.key}`, `state.${name}.${moment.key}`, moment.region, moment.signed),
  );
  return params ? [region(name, name, "param", true), ...moments] : moments;
}
