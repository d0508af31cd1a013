import { fail, failType } from "./errors.js";
import { checkFloat32Array, isFloat32Array } from "./float32.js";
import { ADAM_KEYS, checkCount, checkObject, type Hyper, own, readHyper } from "./options.js";

/** A parameter as it was asked for: with values to copy (none: zeros), or lying in the host's memory. */
export interface ParamSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
  readonly data: Float32Array | undefined;
  readonly pointers: Pointers | undefined;
}

export interface GroupSpec {
  readonly hyper: Hyper;
  readonly params: readonly ParamSpec[];
}

/** Byte offsets of one parameter's float32 regions; `maxExpAvgSq` is NONE where there is none. */
export interface Pointers {
  readonly param: number;
  readonly grad: number;
  readonly expAvg: number;
  readonly expAvgSq: number;
  readonly maxExpAvgSq: number;
}

/** No offset: kernels that are handed it do not use it. */
export const NONE = -1;

export const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;
const POINTER_KEYS = ["length", ...REGIONS];
const SOURCE = "a Float32Array, { shape, data } or pointers";

/** One group from options beside the parameters, or the groups that an array lists. */
export function readGroups(params: unknown, defaults: Readonly<Hyper>): GroupSpec[] {
  const isGroup = (value: unknown) =>
    typeof value === "object" && value !== null && !isFloat32Array(value) && Object.hasOwn(value, "params");
  const names = new Set<string>();
  if (Array.isArray(params) && params.some(isGroup)) {
    return Array.from(params, (group: unknown, i) => readGroup(`params[${i}]`, group, defaults, names));
  }
  return [{ hyper: { ...defaults }, params: readParams("params", params, names) }];
}

/** @param names those taken already; the group's are added */
export function readGroup(label: string, group: unknown, defaults: Readonly<Hyper>, names: Set<string>): GroupSpec {
  const object = checkObject(label, group, ["params", ...ADAM_KEYS]);
  if (!Object.hasOwn(object, "params")) failType(`${label}.params`, "parameters", undefined);
  const hyper = readHyper(`${label}.`, object, defaults);
  return { hyper, params: readParams(`${label}.params`, own(object, "params"), names) };
}

function readParams(label: string, params: unknown, names: Set<string>): ParamSpec[] {
  if (typeof params !== "object" || params === null || ArrayBuffer.isView(params)) {
    failType(label, "an object or array of parameters", params);
  }
  // Array.from makes holes undefined, which the next check refuses; a missed hole would be a missed parameter.
  const entries: [string, unknown][] = Array.isArray(params)
    ? Array.from(params, (source: unknown, i) => [String(names.size + i), source])
    : Object.keys(params).map((name) => [name, (params as Record<string, unknown>)[name]]);
  if (entries.length === 0) fail(RangeError, "ERR_EMPTY_PARAMS", label, "at least one parameter", "none");

  return entries.map(([name, source]) => {
    if (name === "") fail(RangeError, "ERR_EMPTY_NAME", label, "names of at least one character", "an empty name");
    if (names.has(name)) {
      fail(RangeError, "ERR_DUPLICATE_NAME", label, "every name once", `${JSON.stringify(name)} twice`);
    }
    names.add(name);
    return readParam(name, `${label}.${name}`, source);
  });
}

function readParam(name: string, label: string, source: unknown): ParamSpec {
  if (ArrayBuffer.isView(source)) {
    const data = checkFloat32Array(label, source, SOURCE);
    return { name, shape: [data.length], length: data.length, data, pointers: undefined };
  }
  if (typeof source !== "object" || source === null || Array.isArray(source)) failType(label, SOURCE, source);
  return Object.hasOwn(source, "param") ? readPointers(name, label, source) : readShaped(name, label, source);
}

function readShaped(name: string, label: string, source: object): ParamSpec {
  checkObject(label, source, ["shape", "data"]);
  const given = own(source, "shape");
  if (!Array.isArray(given)) failType(`${label}.shape`, "an array of dimensions", given);
  const shape = Object.freeze(Array.from(given, (size: unknown, i) => checkCount(`${label}.shape[${i}]`, size)));
  const length = shape.reduce((product, size) => product * size, 1);
  const values = own(source, "data");
  const data = values === undefined ? undefined : checkFloat32Array(`${label}.data`, values);
  if (data !== undefined && data.length !== length) {
    const expected = `${length} values for shape [${shape.join(", ")}]`;
    fail(RangeError, "ERR_SHAPE_MISMATCH", `${label}.data`, expected, String(data.length));
  }
  return { name, shape, length, data, pointers: undefined };
}

function readPointers(name: string, label: string, source: object): ParamSpec {
  checkObject(label, source, POINTER_KEYS);
  const length = checkCount(`${label}.length`, own(source, "length"));
  const offset = (key: (typeof REGIONS)[number]) => {
    const value = own(source, key);
    return value === undefined && key === "maxExpAvgSq" ? NONE : checkCount(`${label}.${key}`, value);
  };
  const pointers = {
    param: offset("param"),
    grad: offset("grad"),
    expAvg: offset("expAvg"),
    expAvgSq: offset("expAvgSq"),
    maxExpAvgSq: offset("maxExpAvgSq"),
  };
  return { name, shape: [length], length, data: undefined, pointers };
}

/** Regions of the host's memory in use, sorted by start: to see whether any two overlap. */
interface Extent {
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

/**
 * Checks that what was asked for fits the kind of memory, and, in the host's, that every region is aligned, in range and
 * apart from all others, those of `existing` included.
 */
export function checkPlacement(
  groups: readonly GroupSpec[],
  existing: readonly GroupSpec[],
  memory: WebAssembly.Memory | undefined,
): void {
  for (const { params } of groups) {
    for (const { name, pointers } of params) {
      const label = `params.${name}`;
      if (memory === undefined && pointers !== undefined)
        failType(label, "values or a shape without options.memory", pointers);
      if (memory !== undefined && pointers === undefined) {
        fail(TypeError, "ERR_INVALID_TYPE", label, "pointers into options.memory", "values or a shape");
      }
    }
  }
  if (memory === undefined) return;
  const size = memory.buffer.byteLength;
  for (const extent of groups.flatMap(extents)) {
    if (extent.start % 4 !== 0) {
      fail(RangeError, "ERR_MISALIGNED", extent.label, "an offset divisible by 4", String(extent.start));
    }
    if (extent.end > size) {
      const got = `[${extent.start}, ${extent.end})`;
      fail(RangeError, "ERR_OUT_OF_BOUNDS", extent.label, `a region inside the memory of ${size} bytes`, got);
    }
  }
  const all = [...existing, ...groups].flatMap(extents).sort((a, b) => a.start - b.start);
  for (let i = 1; i < all.length; i++) {
    const [before, after] = [all[i - 1]!, all[i]!];
    if (after.start < before.end) {
      const got = `[${after.start}, ${after.end}) over "${before.label}" at [${before.start}, ${before.end})`;
      fail(RangeError, "ERR_OVERLAP", after.label, "a region of its own", got);
    }
  }
}

function extents({ hyper, params }: GroupSpec): Extent[] {
  return params.flatMap(({ name, length, pointers }) => {
    if (pointers === undefined) return [];
    if (hyper.amsgrad && pointers.maxExpAvgSq === NONE) {
      failType(`params.${name}.maxExpAvgSq`, "an offset, because amsgrad is on", undefined);
    }
    if (length === 0) return [];
    return REGIONS.slice(0, hyper.amsgrad ? 5 : 4).map((region) => ({
      start: pointers[region],
      end: pointers[region] + 4 * length,
      label: `params.${name}.${region}`,
    }));
  });
}
