import { checkFinite } from "../checks/arrays.js";
import { ADAM_DEFAULTS, type LoadSettings } from "../checks/defaults.js";
import { fail, failMismatch, show, showShape } from "../checks/errors.js";
import { MOMENT_FORMATS } from "../checks/formats.js";
import type { CheckpointReport, StateDict } from "../checks/types.js";
import { sameShape } from "../checks/values.js";
import { asFloat32 } from "../memory/bfloat16.js";
import { momentsOf, STORAGES } from "../memory/regions.js";
import type { Group } from "../optimizer/group.js";
import { checkNames, checkState, tensorsOf } from "../optimizer/stateDict.js";
import {
  type CheckpointInfo,
  checkDigits,
  checksumOf,
  hashAround,
  isCheckpoint,
  isReserved,
  readMetadata,
} from "./format.js";
import { checkTypes, type Header, parseHeader, type TensorEntry } from "./safetensors.js";
import { checkWhole } from "./save.js";

/** A checkpoint that has been checked, alone and against the groups. */
export interface CheckedCheckpoint {
  /** What `apply` takes over. */
  readonly report: CheckpointReport;
  apply(): void;
}

export function checkCheckpoint(
  groups: readonly Group[],
  bytes: Uint8Array,
  settings: LoadSettings,
): CheckedCheckpoint {
  checkWhole(groups);
  const header = parseHeader(bytes);
  checkTypes(header);
  // What is no checkpoint, `readMetadata` calls by its name.
  const checksum = isCheckpoint(header) ? checksumOf(header, bytes) : undefined;
  if (checksum !== undefined) checkDigits(hashAround(checksum.at, bytes).digest(), checksum.digits);
  const info = readMetadata(header);
  const known = tensorsOf(groups);
  const names = settings.partial ? info.groups.flatMap(({ params = [] }) => params) : [...known.keys()];
  checkNames("steps", names, info.steps.keys());

  const file = new Tensors(header, bytes);
  const misshapen = new Set<string>();
  /** A tensor of a parameter. Where that is another's shape here, a partial load leaves the parameter out. */
  const take = (param: string, name: string, formats: Formats) => {
    const { shape, values } = file.take(name, formats);
    const expected = known.get(param)?.shape ?? shape;
    if (!sameShape(expected, shape)) {
      if (!settings.partial) {
        fail(RangeError, "ERR_SHAPE_MISMATCH", name, `shape ${showShape(expected)}`, showShape(shape));
      }
      misshapen.add(param);
    }
    return values;
  };
  const state = stateOf(info, known, take);
  const params = paramsOf(info, file, take);
  const tensors = info.tensors.map((name) => {
    if (isReserved(info.steps, name)) failMismatch("tensors", "names that no parameter uses", show(name));
    return [name, file.take(name, FLOAT32).values.slice()] as const;
  });
  file.end();

  const { report, apply } = checkState(groups, { state, param_groups: info.groups }, settings, misshapen);
  return {
    report: {
      ...report,
      params: params.size > 0,
      metadata: Object.fromEntries(info.metadata),
      tensors: Object.fromEntries(tensors),
    },
    apply() {
      apply();
      for (const name of params.size > 0 ? report.loaded : []) {
        known.get(name)!.view("param").set(params.get(name)!);
      }
    },
  };
}

/** Formats that a tensor may have. */
type Formats = readonly ("float32" | "bfloat16")[];
const FLOAT32: Formats = ["float32"];

/** Takes one of a parameter's tensors. */
type Take = (param: string, name: string, formats: Formats) => Float32Array;

/** The state in the form of a state dict, which `checkState` checks. */
function stateOf(
  { steps, groups }: CheckpointInfo,
  known: ReadonlyMap<string, unknown>,
  take: Take,
): StateDict["state"] {
  const amsgrad = new Set(groups.flatMap(({ amsgrad, params = [] }) => (amsgrad ? params : [])));
  const entries = Array.from(steps, ([name, step]) => {
    const moments = momentsOf({ ...ADAM_DEFAULTS, amsgrad: amsgrad.has(name) });
    const values = moments.map(({ key, signed }) => {
      const values = take(name, `${name}.${key}`, MOMENT_FORMATS);
      // Of parameters that are here, too, `checkState` does it.
      if (!known.has(name)) checkFinite(`state.${name}.${key}`, values, signed);
      return [key, values];
    });
    return [name, { step, ...Object.fromEntries(values) }];
  });
  // `fromEntries` does not assign: a parameter may be called "__proto__".
  return Object.fromEntries(entries);
}

/** A file has all parameters or none. To be called when the moments have been taken, which may have a parameter's name. */
function paramsOf({ steps }: CheckpointInfo, file: Tensors, take: Take): ReadonlyMap<string, Float32Array> {
  const params = new Map<string, Float32Array>();
  if ([...steps.keys()].some((name) => file.has(name))) {
    for (const name of steps.keys()) params.set(name, take(name, name, FLOAT32));
  }
  for (const [name, values] of params) checkFinite(name, values, true);
  return params;
}

/** The tensors of a file, each taken once, so that at the end none may be left. */
class Tensors {
  readonly #left: Map<string, TensorEntry>;

  constructor(
    { tensors }: Header,
    readonly bytes: Uint8Array,
  ) {
    this.#left = new Map(tensors);
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  /** Its values as float32. */
  take(name: string, formats: Formats): { shape: readonly number[]; values: Float32Array } {
    const entry = this.#left.get(name);
    if (entry === undefined) failMismatch("file", `a tensor ${show(name)}`, "none");
    this.#left.delete(name);
    const { shape, start, end } = entry;
    const storages = formats.map((format) => STORAGES[format]);
    const storage = storages.find(({ dtype }) => dtype === entry.dtype);
    if (storage === undefined) {
      const expected = `elements of type ${storages.map(({ dtype }) => dtype).join(" or ")}`;
      failMismatch(name, expected, entry.dtype);
    }
    const { bytes, View } = storage;
    const at = this.bytes.byteOffset + start;
    const aligned = at % bytes === 0;
    const buffer = (aligned ? this.bytes : this.bytes.slice(start, end)).buffer as ArrayBuffer;
    return { shape, values: asFloat32(new View(buffer, aligned ? at : 0, (end - start) / bytes)) };
  }

  end(): void {
    for (const name of this.#left.keys()) {
      failMismatch("file", "only tensors of this optimizer's parameters, and those that it lists", show(name));
    }
  }
}
