import { bare } from "../checks/builtins.js";
import { fail } from "../checks/errors.js";
import { HeapMemory, PAGE } from "./heapMemory.js";
import type { GroupSpec } from "./params.js";
import { NONE, type Pointers, pointersOf, type Region, type RegionName } from "./regions.js";

/** What 32-bit addresses reach. */
export const LIMIT = 65536 * PAGE;
/** Bytes of a cache line. Tensors start on one and are padded to one. */
const LINE = 64;
/** Kernels are compiled with `--lowMemoryUnused`: addresses below this one must stay unused. */
const FIRST = 1024;

/**
 * 4 KiB aliasing: processors compare the low 12 bits of addresses to find out whether a load depends on an earlier store, so
 * regions a multiple of 4 KiB apart delay each other. Regions of 4 KiB or more therefore start at least two cache lines off such
 * a multiple: 1,024 to 32,768 parameters took 4 to 14 % less time, and more than two lines made no difference. Large regions,
 * which have room for it, did best 17 lines off: 16 Mi parameters took 1.38 instead of 1.58 ns each.
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

  /** Bytes that `place` takes for these groups. @throws RangeError `ERR_OUT_OF_MEMORY` for more than a memory can hold */
  static bytes(groups: readonly GroupSpec[]): number {
    const sizes = groups.map(sizesOf);
    // First of all, because the product of a shape may be infinite.
    const least = sum(sizes.flat());
    if (least > LIMIT) tooLarge(least);
    return sum(sizes.flatMap(apart));
  }

  /** Makes room for `bytes` more, or throws and leaves everything as it was. Growing detaches all views. */
  reserve(bytes: number): void {
    const needed = this.#top + bytes;
    const missing = Math.ceil((needed - this.memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return;
    if (needed > LIMIT) tooLarge(needed);
    try {
      this.memory.grow(missing);
    } catch (cause) {
      notGranted(needed, cause);
    }
  }

  /** Offsets for each parameter of a group, in order. There must be room: `reserve` comes first. */
  place(group: GroupSpec): Pointers[] {
    const { regions, params } = group;
    const strides = apart(sizesOf(group));
    /** Where the next tensor's regions begin. */
    const next = new Map<RegionName, number>();
    regions.forEach(({ name }, i) => {
      next.set(name, this.#top);
      this.#top += strides[i]!;
    });
    return params.map(({ length }) => {
      const pointers = pointersOf((name) => next.get(name) ?? NONE);
      const span = spanOf(length, regions);
      for (const { name, storage } of regions) next.set(name, pointers[name] + span * storage.bytes);
      return pointers;
    });
  }
}

/** Bytes of each region of a group with its padding, without gaps. */
function sizesOf({ regions, params }: GroupSpec): number[] {
  const elements = sum(params.map(({ length }) => spanOf(length, regions)));
  return regions.map(({ storage }) => elements * storage.bytes);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Bytes from the start of each region to the start of the next: its size, and a gap where the regions would alias. */
function apart(sizes: readonly number[]): readonly number[] {
  const largest = Math.max(...sizes);
  if (largest >= LARGE) return sizes.map((size) => size + ((SKEW - (size % ALIAS) + ALIAS) % ALIAS));
  let strides = sizes;
  // Ends: the pairs of up to six regions rule out at most 51 of the 64 gaps that differ.
  if (largest >= ALIAS) for (let gap = LINE; alias(strides); gap += LINE) strides = sizes.map((size) => size + gap);
  return strides;
}

/** Whether any two of the regions start less than `APART` off a multiple of `ALIAS`. */
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
  if (bytes > LIMIT) tooLarge(bytes);
  const initial = Math.ceil(bytes / PAGE);
  try {
    if (shared) return createShared(initial);
    if (typeof WebAssembly === "object") return new WebAssembly.Memory(bare({ initial }));
    return new HeapMemory(initial) as WebAssembly.Memory;
  } catch (cause) {
    notGranted(bytes, cause);
  }
}

/** Shared memory must declare a maximum, and some hosts reserve all of it: tries 4 GiB, then half as much until it is granted. */
function createShared(initial: number): WebAssembly.Memory {
  for (let maximum = LIMIT / PAGE; ; maximum = Math.max(initial, maximum / 2)) {
    try {
      return new WebAssembly.Memory(bare({ initial, maximum, shared: true }));
    } catch (error) {
      if (maximum === initial) throw error;
    }
  }
}

function tooLarge(bytes: number): never {
  const expected = `at most ${LIMIT} bytes (several optimizers can share the work)`;
  fail(RangeError, "ERR_OUT_OF_MEMORY", "params", expected, `${bytes} bytes`);
}

/** Memory need not be short: V8 reserves 10 GiB of address space for a memory of any size, and `ulimit -v` limits that. */
function notGranted(bytes: number, cause: unknown): never {
  const expected = `${bytes} bytes from the engine (a limit such as ulimit -v? node --disable-wasm-trap-handler reserves less)`;
  fail(RangeError, "ERR_OUT_OF_MEMORY", "params", expected, String(cause), cause);
}
