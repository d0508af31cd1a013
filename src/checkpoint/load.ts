import { checkFinite } from "../checks/arrays.js";
import { fail, failMismatch, show, showShape } from "../checks/errors.js";
import type { ParamState, StateDict } from "../checks/types.js";
import { type ElementStorage, FLOAT32 } from "../memory/regions.js";
import type { Group } from "../optimizer/group.js";
import { checkNames, checkState } from "../optimizer/stateDict.js";
import { checkDigits, checksumOf, hashAround, readMetadata } from "./format.js";
import { checkTypes, type Header, parseHeader, type TensorEntry } from "./safetensors.js";
import { checkWhole } from "./save.js";

/** Checks a checkpoint, alone and against the groups, and returns the function that applies it. */
export function checkCheckpoint(groups: readonly Group[], bytes: Uint8Array): () => void {
  checkWhole(groups);
  const header = parseHeader(bytes);
  checkTypes(header);
  const checksum = checksumOf(header, bytes);
  if (checksum !== undefined) checkDigits(hashAround(checksum.at, bytes).digest(), checksum.digits);
  const tensors = new Tensors(header, bytes);
  const applyState = checkState(groups, stateOf(groups, header, tensors));
  const applyParams = checkParams(groups, tensors);
  tensors.end();
  return () => {
    applyState();
    applyParams();
  };
}

/** The state in the form of a state dict, which `checkState` checks. */
function stateOf(groups: readonly Group[], header: Header, tensors: Tensors): StateDict {
  const { steps, groups: param_groups } = readMetadata(header);
  checkNames("steps", groups, steps.keys());
  const entries = groups.flatMap((group) =>
    group.tensors.map(({ name, shape }) => {
      const entry: ParamState = { step: steps.get(name)! } as ParamState;
      for (const { key, storage } of group.moments) entry[key] = tensors.take(`${name}.${key}`, shape, storage);
      return [name, entry] as const;
    }),
  );
  // `fromEntries` does not assign: a parameter may be called "__proto__".
  return { state: Object.fromEntries(entries), param_groups: [...param_groups] };
}

/** A file has all parameters or none. */
function checkParams(groups: readonly Group[], file: Tensors): () => void {
  const tensors = groups.flatMap((group) => group.tensors);
  if (!tensors.some(({ name }) => file.has(name))) return () => {};
  const params = tensors.map((tensor) => ({ tensor, values: file.take(tensor.name, tensor.shape, FLOAT32) }));
  for (const { tensor, values } of params) checkFinite(tensor.name, values, true);
  return () => {
    for (const { tensor, values } of params) tensor.view("param").set(values);
  };
}

/** The tensors of a file, each taken once, so that at the end none may be left. */
class Tensors {
  readonly #left: Map<string, TensorEntry>;

  constructor(
    header: Header,
    readonly bytes: Uint8Array,
  ) {
    this.#left = new Map(header.tensors);
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  take(name: string, shape: readonly number[], { dtype, bytes, View }: ElementStorage): Float32Array {
    const entry = this.#left.get(name);
    if (entry === undefined) failMismatch("file", `a tensor ${show(name)}`, "none");
    this.#left.delete(name);
    if (entry.dtype !== dtype) failMismatch(name, `elements of type ${dtype}`, entry.dtype);
    if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
      fail(RangeError, "ERR_SHAPE_MISMATCH", name, `shape ${showShape(shape)}`, showShape(entry.shape));
    }
    const { buffer, byteOffset } = this.bytes;
    const at = byteOffset + entry.start;
    if (at % bytes === 0) return new View(buffer, at, (entry.end - entry.start) / bytes);
    return new View(new Uint8Array(this.bytes.subarray(entry.start, entry.end)).buffer);
  }

  end(): void {
    for (const name of this.#left.keys())
      failMismatch("file", "only tensors of this optimizer's parameters", show(name));
  }
}
