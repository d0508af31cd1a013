import { bare } from "../checks/builtins.js";
import { fail } from "../checks/errors.js";
import { HeapMemory, PAGE } from "./heapMemory.js";
import type { GroupSpec } from "./params.js";
import { NONE, type Pointers, pointersOf, type Region, regionsOf } from "./regions.js";

const LIMIT = 65536 * PAGE;
/** Bytes of a cache line. Tensors start on one and are padded to one. */
const LINE = 64;
/** Kernels are compiled with "low memory unused", and nothing good comes from an offset of 0. */
const FIRST = 1024;

/**
 * Processors guess by the low 12 bits of an address whether a load meets a store under way, and regions a multiple of 4 KiB apart
 * make them guess wrong. From 4 KiB on, regions are therefore at least two cache lines off each other's: 1,024 to 32,768
 * parameters took 4 to 14 % less time, and more than two lines made no difference. Large ones did best 17 lines off (16 Mi
 * parameters 1.38 instead of 1.58 ns each), and have room for it.
 */
const ALIAS = 4096;
const APART = 2 * LINE;
const SKEW = 17 * LINE;
const LARGE = 262144;

/**
 * Elements from the start of a tensor to the next one's: its length and the padding. Regions of a group are padded alike,
 * because one kernel call runs through all of them at once: to a whole number of cache lines where elements are smallest.
 */
export function spanOf(length: number, regions: readonly Region[]): number {
  const line = LINE / Math.min(...regions.map(({ storage }) => storage.bytes));
  return Math.ceil(length / line) * line;
}

/**
 * One linear memory, filled from the bottom. A group is one contiguous run of its regions
 *
 *     param | grad | expAvg | expAvgSq | …
 *
 * and each of these is the group's tensors in order, every one 64-byte aligned and zero-padded:
 *
 *     |w: 10 elements, 6 zeros|b: 16 elements|…
 *
 * so one kernel call updates the group. Fresh linear memory is zero; nothing here ever writes padding.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  #top = FIRST;

  constructor(bytes: number, shared: boolean) {
    this.memory = createMemory(FIRST + bytes, shared);
  }

  /** Bytes that `place` takes for these groups. */
  static bytes(groups: readonly GroupSpec[]): number {
    return groups.reduce((sum, group) => sum + layOut(group).bytes, 0);
  }

  /** Makes room for `bytes` more, or throws and leaves everything as it was. Detaches views when it grows. */
  reserve(bytes: number): void {
    const needed = this.#top + bytes;
    const missing = Math.ceil((needed - this.memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return;
    if (needed > LIMIT) outOfMemory(needed);
    try {
      this.memory.grow(missing);
    } catch (cause) {
      outOfMemory(needed, cause);
    }
  }

  /** Offsets for each parameter of a group, in order. There must be room: `reserve` comes first. */
  place(group: GroupSpec): Pointers[] {
    const { spans, runs, bytes } = layOut(group);
    let elements = 0;
    const placed = spans.map((span) => {
      const pointers = pointersOf((name) => {
        const run = runs.get(name);
        return run === undefined ? NONE : this.#top + run.start + elements * run.bytes;
      });
      elements += span;
      return pointers;
    });
    this.#top += bytes;
    return placed;
  }
}

/** Where the regions of a group begin, in bytes from the group's start. */
function layOut({ hyper, params }: GroupSpec) {
  const regions = regionsOf(hyper);
  const spans = params.map(({ length }) => spanOf(length, regions));
  const elements = spans.reduce((sum, span) => sum + span, 0);
  const sizes = regions.map(({ storage }) => elements * storage.bytes);
  const strides = apart(sizes);
  const runs = new Map<string, { start: number; bytes: number }>();
  let bytes = 0;
  regions.forEach(({ name, storage }, i) => {
    runs.set(name, { start: bytes, bytes: storage.bytes });
    bytes += strides[i]!;
  });
  return { spans, runs, bytes };
}

/** Regions of these sizes, one behind the other: bytes from each to the next, so that they do not alias. */
function apart(sizes: readonly number[]): readonly number[] {
  const largest = Math.max(...sizes);
  if (largest >= LARGE) return sizes.map((size) => size + ((SKEW - (size % ALIAS) + ALIAS) % ALIAS));
  let strides = sizes;
  // Each pair of up to six regions rules out a few of the 64 gaps there are, never all.
  if (largest >= ALIAS) for (let gap = LINE; alias(strides); gap += LINE) strides = sizes.map((size) => size + gap);
  return strides;
}

/** Whether two regions so far apart are less than `APART` off a multiple of `ALIAS`. */
function alias(strides: readonly number[]): boolean {
  return strides.some((_, first) => {
    let distance = 0;
    return strides.slice(first, -1).some((stride) => {
      distance += stride;
      return (distance + APART - 1) % ALIAS < 2 * APART - 1;
    });
  });
}

function createMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  if (bytes > LIMIT) outOfMemory(bytes);
  const initial = Math.ceil(bytes / PAGE);
  try {
    if (shared) return createShared(initial);
    if (typeof WebAssembly === "object") return new WebAssembly.Memory(bare({ initial }));
    return new HeapMemory(initial) as WebAssembly.Memory;
  } catch (cause) {
    outOfMemory(bytes, cause);
  }
}

/** Shared memory has to say how far it may grow, and some hosts set as much aside: the most that is granted, halving. */
function createShared(initial: number): WebAssembly.Memory {
  for (let maximum = LIMIT / PAGE; ; maximum = Math.max(initial, maximum / 2)) {
    try {
      return new WebAssembly.Memory(bare({ initial, maximum, shared: true }));
    } catch (error) {
      if (maximum === initial) throw error;
    }
  }
}

function outOfMemory(bytes: number, cause?: unknown): never {
  const expected = `at most ${LIMIT} bytes that the host grants (several optimizers can share the work)`;
  fail(RangeError, "ERR_OUT_OF_MEMORY", "params", expected, `${bytes} bytes`, cause);
}
