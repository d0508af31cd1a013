import { bare } from "../checks/bare.js";
import { fail } from "../checks/errors.js";
import { type GroupSpec, NONE, type Pointers, regionCount } from "./params.js";

const PAGE = 65536;
const LIMIT = 65536 * PAGE;
/** Tensors start on cache lines and are padded to them: 16 elements, which is also a kernel's unrolled turn. */
export const LINE = 64;
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

/** What an arena needs of `WebAssembly.Memory`; where a host has no WebAssembly at all, `HeapMemory` stands in. */
type LinearMemory = Pick<WebAssembly.Memory, "buffer" | "grow">;

/** Length of a tensor with its padding, in elements. */
export function padded(length: number): number {
  return Math.ceil(length / (LINE / 4)) * (LINE / 4);
}

/**
 * One linear memory, filled from the bottom. A group is one contiguous run
 *
 *     param | grad | expAvg | expAvgSq | maxExpAvgSq (amsgrad only)
 *
 * and each of these is the group's tensors in order, every one 64-byte aligned and zero-padded, the last to `strideOf`:
 *
 *     |w: 10 elements, 6 zeros|b: 16 elements|…
 *
 * so one kernel call updates the group. Fresh linear memory is zero; nothing here ever writes padding.
 */
export class Arena {
  memory: WebAssembly.Memory;
  #top = FIRST;

  constructor(bytes: number, shared: boolean) {
    this.memory = createMemory(FIRST + bytes, shared);
  }

  /** Bytes that `place` takes for these groups. */
  static bytes(groups: readonly GroupSpec[]): number {
    return groups.reduce((sum, group) => sum + strideOf(group) * regionCount(group.hyper), 0);
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
    const stride = strideOf(group);
    let param = this.#top;
    const placed = group.params.map(({ length }) => {
      const pointers = {
        param,
        grad: param + stride,
        expAvg: param + 2 * stride,
        expAvgSq: param + 3 * stride,
        maxExpAvgSq: group.hyper.amsgrad ? param + 4 * stride : NONE,
      };
      param += 4 * padded(length);
      return pointers;
    });
    this.#top += regionCount(group.hyper) * stride;
    return placed;
  }
}

/** Bytes from one region of a group to the next. */
function strideOf(group: GroupSpec): number {
  const bytes = group.params.reduce((sum, { length }) => sum + 4 * padded(length), 0);
  if (bytes >= LARGE) return bytes + ((SKEW - (bytes % ALIAS) + ALIAS) % ALIAS);
  let stride = bytes;
  if (bytes >= ALIAS) while (collides(stride)) stride += LINE;
  return stride;
}

/** Whether two of up to five regions so far apart are less than `APART` off a multiple of `ALIAS`. */
function collides(stride: number): boolean {
  return [1, 2, 3, 4].some((regions) => (regions * stride + APART - 1) % ALIAS < 2 * APART - 1);
}

function createMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  if (bytes > LIMIT) outOfMemory(bytes);
  const initial = Math.ceil(bytes / PAGE);
  try {
    if (shared) return createShared(initial);
    if (typeof WebAssembly === "object") return new WebAssembly.Memory(bare({ initial }));
    return new HeapMemory(initial) as LinearMemory as WebAssembly.Memory;
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

/** Grows by copying, and detaches nothing: old views go stale exactly where those of a real memory would be detached. */
class HeapMemory implements LinearMemory {
  buffer: ArrayBuffer;

  constructor(pages: number) {
    this.buffer = new ArrayBuffer(pages * PAGE);
  }

  grow(pages: number): number {
    const old = this.buffer;
    const grown = new Uint8Array(old.byteLength + pages * PAGE);
    grown.set(new Uint8Array(old));
    this.buffer = grown.buffer;
    return old.byteLength / PAGE;
  }
}
