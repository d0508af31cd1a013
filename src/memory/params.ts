import { checkFloat32Array } from "../checks/arrays.js";
import { fail, failType, show } from "../checks/errors.js";
import {
  ADAM_KEYS,
  checkArray,
  checkCount,
  checkObject,
  type Hyper,
  isRecord,
  own,
  readHyper,
} from "../checks/options.js";
import { isShared } from "../kernels/wasm.js";

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
const VALUES = "a Float32Array or { shape, data }";
const POINTERS = "pointers into options.memory";
const SOURCE = `${VALUES}, or ${POINTERS}`;

/** One group from options beside the parameters, or the groups that an array lists. */
export function readGroups(params: unknown, defaults: Readonly<Hyper>): GroupSpec[] {
  const names = new Set<string>();
  if (Array.isArray(params) && params.some((value) => isRecord(value) && Object.hasOwn(value, "params"))) {
    return Array.from(params, (group: unknown, i) => readGroup(`params[${i}]`, group, defaults, names));
  }
  return [{ hyper: { ...defaults }, params: readParams("params", params, names) }];
}

/** @param names those taken already; the group's are added */
export function readGroup(label: string, group: unknown, defaults: Readonly<Hyper>, names: Set<string>): GroupSpec {
  const object = checkObject(label, group, ["params", ...ADAM_KEYS]);
  const hyper = readHyper(`${label}.`, object, defaults);
  return { hyper, params: readParams(`${label}.params`, own(object, "params"), names) };
}

function readParams(label: string, params: unknown, names: Set<string>): ParamSpec[] {
  // A hole becomes undefined, which is refused; left out, it would be a parameter that silently never trains.
  const entries: [string, unknown][] = Array.isArray(params)
    ? Array.from(params, (source: unknown, i) => [String(names.size + i), source])
    : isRecord(params)
      ? Object.entries(params)
      : failType(label, "an object or array of parameters", params);
  if (entries.length === 0) fail(RangeError, "ERR_EMPTY_PARAMS", label, "at least one parameter", "none");

  return entries.map(([name, source]) => {
    if (name === "") fail(RangeError, "ERR_EMPTY_NAME", label, "names of at least one character", "an empty name");
    addName(label, names, name);
    return readParam(name, `${label}.${name}`, source);
  });
}

export function addName(label: string, names: Set<string>, name: string): void {
  if (names.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", label, "every name once", `${show(name)} twice`);
  names.add(name);
}

function readParam(name: string, label: string, source: unknown): ParamSpec {
  if (ArrayBuffer.isView(source)) {
    const data = checkFloat32Array(label, source, SOURCE);
    return { name, shape: [data.length], length: data.length, data, pointers: undefined };
  }
  if (!isRecord(source)) failType(label, SOURCE, source);
  return Object.hasOwn(source, "param") ? readPointers(name, label, source) : readShaped(name, label, source);
}

function readShaped(name: string, label: string, source: object): ParamSpec {
  checkObject(label, source, ["shape", "data"]);
  const sizes = checkArray(`${label}.shape`, own(source, "shape"), "an array of dimensions");
  const shape = Object.freeze(sizes.map((size, i) => checkCount(`${label}.shape[${i}]`, size)));
  // 0 first: ∞ · 0 is not 0.
  const length = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
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
  const offset = (key: keyof Pointers) => {
    const value = own(source, key);
    return [key, value === undefined && key === "maxExpAvgSq" ? NONE : checkCount(`${label}.${key}`, value)];
  };
  const pointers = Object.fromEntries(REGIONS.map(offset)) as Pointers;
  return { name, shape: [length], length, data: undefined, pointers };
}

/** A region of the host's memory. */
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
  for (const { name, pointers, data, length } of groups.flatMap(({ params }) => params)) {
    // Reading a later parameter may have run somebody's code.
    if (data !== undefined && data.length !== length) {
      fail(
        TypeError,
        "ERR_DETACHED_BUFFER",
        `params.${name}`,
        "values that stay",
        "a buffer detached or shrunk meanwhile",
      );
    }
    if ((memory === undefined) !== (pointers === undefined)) {
      const [expected, got] = memory === undefined ? [VALUES, POINTERS] : [POINTERS, VALUES];
      fail(TypeError, "ERR_INVALID_TYPE", `params.${name}`, expected, got);
    }
  }
  if (memory === undefined) return;
  const added = groups.flatMap(extents);
  // Another thread's growth of shared memory may show only after one of this thread's own.
  if (isShared(memory) && added.some(({ end }) => end > memory.buffer.byteLength)) memory.grow(0);
  const size = memory.buffer.byteLength;
  for (const { start, end, label } of added) {
    if (start % 4 !== 0) fail(RangeError, "ERR_MISALIGNED", label, "an offset divisible by 4", String(start));
    if (end > size) fail(RangeError, "ERR_OUT_OF_BOUNDS", label, `a region inside [0, ${size})`, `[${start}, ${end})`);
  }
  // What is empty overlaps nothing.
  const taken = [...existing.flatMap(extents), ...added].filter(({ start, end }) => start < end);
  const all = taken.sort((a, b) => a.start - b.start);
  all.forEach(({ start, end, label }, i) => {
    const before = all[i - 1];
    if (before !== undefined && start < before.end) {
      fail(RangeError, "ERR_OVERLAP", label, `a region apart from ${before.label}`, `[${start}, ${end})`);
    }
  });
}

/** The regions that a group uses of the host's memory. */
function extents({ hyper, params }: GroupSpec): Extent[] {
  return params.flatMap(({ name, length, pointers }) =>
    REGIONS.slice(0, regionCount(hyper)).map((region) => {
      const label = `params.${name}.${region}`;
      const start = pointers![region];
      if (start === NONE) failType(label, "an offset, because amsgrad is on", undefined);
      return { start, end: start + 4 * length, label };
    }),
  );
}

/** How many of `REGIONS` there are. */
export function regionCount({ amsgrad }: Pick<Hyper, "amsgrad">): number {
  return amsgrad ? 5 : 4;
}
