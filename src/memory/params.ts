import { checkFloat32Array } from "../checks/arrays.js";
import { isArray } from "../checks/builtins.js";
import type { Hyper } from "../checks/defaults.js";
import { fail, showShape } from "../checks/errors.js";
import { GROUP_OPTIONS, readHyper } from "../checks/hyper.js";
import {
  addName,
  checkCount,
  checkCounts,
  checkObject,
  checkRecord,
  isRecord,
  type Names,
  own,
} from "../checks/values.js";
import { warnOnce } from "../checks/warn.js";
import { NONE, type Pointers, pointersOf, REGION_NAMES, type Region, regionsOf } from "./regions.js";

/** A parameter as it was asked for: with values to copy (none: zeros), or lying in the host's memory. */
export interface ParamSpec {
  readonly name: string;
  /** Of the whole tensor. */
  readonly shape: readonly number[];
  /** Which of the tensor's rows it has. */
  readonly rows: Rows;
  readonly length: number;
  readonly data: Float32Array | undefined;
  readonly pointers: Pointers | undefined;
}

/** From the first up to, and without, the second. */
export type Rows = readonly [number, number];

export interface GroupSpec {
  readonly hyper: Hyper;
  /** What each of its parameters has in memory, in order. */
  readonly regions: readonly Region[];
  readonly params: readonly ParamSpec[];
}

const SLICE_KEYS = ["shape", "rows"];
const POINTER_KEYS = ["length", ...SLICE_KEYS, ...REGION_NAMES];
const VALUES = "a Float32Array or { shape, data }";
const POINTERS = "pointers into options.memory";
const SOURCE = `${VALUES}, or ${POINTERS}`;

/** One group from options beside the parameters, or the groups that an array lists. */
export function readGroups(params: unknown, defaults: Readonly<Hyper>): GroupSpec[] {
  const names = new Set<string>();
  if (isArray(params) && params.some((value) => isRecord(value) && Object.hasOwn(value, "params"))) {
    return Array.from(params, (group: unknown, i) => readGroup(`params[${i}]`, group, defaults, names));
  }
  return [{ hyper: { ...defaults }, regions: regionsOf(defaults), params: readParams("params", params, names) }];
}

/** @param names those of other groups; the group's are added */
export function readGroup(label: string, group: unknown, defaults: Readonly<Hyper>, names: Names): GroupSpec {
  const object = checkObject(label, group, ["params", ...GROUP_OPTIONS]);
  const hyper = readHyper(object, defaults, `${label}.`);
  return { hyper, regions: regionsOf(hyper), params: readParams(`${label}.params`, own(object, "params"), names) };
}

function readParams(label: string, params: unknown, names: Names): ParamSpec[] {
  // A hole becomes undefined, which is refused; left out, it would be a parameter that silently never trains.
  const entries: [string, unknown][] = isArray(params)
    ? Array.from(params, (source, i) => [String(names.size + i), source])
    : Object.entries(checkRecord(label, params, "an object or array of parameters"));
  if (entries.length === 0) fail(RangeError, "ERR_EMPTY_PARAMS", label, "at least one parameter", "none");

  return entries.map(([name, source]) => {
    if (name === "") fail(RangeError, "ERR_EMPTY_NAME", label, "names of at least one character", "an empty name");
    addName(label, names, name);
    return readParam(name, `${label}.${name}`, source);
  });
}

/** Names beside those of an optimizer, which stay as they are if a group turns out not to be legal. */
export function namesBeside(taken: ReadonlyMap<string, unknown>): Names {
  const added = new Set<string>();
  return {
    get size() {
      return taken.size + added.size;
    },
    has: (name) => taken.has(name) || added.has(name),
    add: (name) => added.add(name),
  };
}

export function readParam(name: string, label: string, source: unknown): ParamSpec {
  if (ArrayBuffer.isView(source)) {
    const data = checkFloat32Array(label, source, SOURCE);
    return { name, shape: [data.length], rows: [0, data.length], length: data.length, data, pointers: undefined };
  }
  const object = checkRecord(label, source, SOURCE);
  return Object.hasOwn(object, "param") ? readPointers(name, label, object) : readShaped(name, label, object);
}

function readShaped(name: string, label: string, source: object): ParamSpec {
  checkObject(label, source, [...SLICE_KEYS, "data"]);
  const values = own(source, "data");
  const data = values === undefined ? undefined : checkFloat32Array(`${label}.data`, values);
  return { name, ...readSlice(label, source, "data", data?.length), data, pointers: undefined };
}

function readPointers(name: string, label: string, source: object): ParamSpec {
  checkObject(label, source, POINTER_KEYS);
  const length = checkCount(`${label}.length`, own(source, "length"));
  const slice = readSlice(label, source, "length", length, [length]);
  const pointers = pointersOf((region) => {
    const value = own(source, region);
    return value === undefined ? NONE : checkCount(`${label}.${region}`, value);
  });
  return { name, ...slice, data: undefined, pointers };
}

/** @param got how many elements were given, under which key */
function readSlice(
  label: string,
  source: object,
  key: string,
  got: number | undefined,
  vector?: readonly number[],
): Pick<ParamSpec, "shape" | "rows" | "length"> {
  const counts = (key: string, otherwise?: readonly number[]) => {
    const value = own(source, key);
    return checkCounts(`${label}.${key}`, value === undefined ? otherwise : value);
  };
  const shape = Object.freeze(counts("shape", vector));
  const [all = 1, ...rest] = shape;
  const rows = counts("rows", [0, all]);
  const [first, end] = rows as [number, number];
  if (rows.length !== 2 || first > end || end > all) {
    fail(RangeError, "ERR_OUT_OF_RANGE", `${label}.rows`, `[first, end] up to ${all}`, showShape(rows));
  }
  const part = [end - first, ...rest];
  // 0 first: ∞ · 0 is not 0.
  const length = part.includes(0) ? 0 : part.reduce((product, size) => product * size);
  if (got !== undefined && got !== length) {
    fail(RangeError, "ERR_SHAPE_MISMATCH", `${label}.${key}`, `${length} values for ${showShape(part)}`, String(got));
  }
  return { shape, rows: [first, end], length };
}

/**
 * Checks that values were given for the optimizer's own memory and pointers for the host's, and that no values have gone while
 * others were read.
 */
export function checkSources(groups: readonly GroupSpec[], isForeign: boolean): void {
  const seen = new Map<ArrayBufferLike, Map<string, string>>();
  for (const { name, pointers, data, length } of groups.flatMap(({ params }) => params)) {
    const label = `params.${name}`;
    // Reading a later parameter may have run somebody's code.
    if (data !== undefined && data.length !== length) {
      fail(TypeError, "ERR_DETACHED_BUFFER", label, "values that stay", "a buffer detached or shrunk meanwhile");
    }
    if (isForeign !== (pointers !== undefined)) {
      const [expected, got] = isForeign ? [POINTERS, VALUES] : [VALUES, POINTERS];
      fail(TypeError, "ERR_INVALID_TYPE", label, expected, got);
    }
    if (data !== undefined && length > 0) warnOfTied(seen, name, data);
  }
}

/** Tied weights have to be one parameter. Under two names they are copied twice, and differ from the first step on. */
function warnOfTied(
  seen: Map<ArrayBufferLike, Map<string, string>>,
  name: string,
  { buffer, byteOffset, length }: Float32Array,
) {
  const names = seen.get(buffer) ?? new Map<string, string>();
  const window = `${byteOffset} ${length}`;
  seen.set(buffer, names);
  const other = names.get(window);
  if (other !== undefined) {
    warnOnce("one array under two names becomes two parameters; give tied weights once:", other, name);
  }
  names.set(window, name);
}
