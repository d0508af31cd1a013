import { fail, failType } from "../checks/errors.js";
import { type GroupSpec, POINTERS, VALUES } from "./params.js";
import { NONE, regionsOf } from "./regions.js";
import { isShared } from "./shared.js";

/** A region of the host's memory. */
interface Extent {
  readonly start: number;
  readonly end: number;
  /** What the start is a multiple of. */
  readonly align: number;
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
  for (const { start, end, align, label } of added) {
    if (start % align !== 0) {
      fail(RangeError, "ERR_MISALIGNED", label, `an offset divisible by ${align}`, String(start));
    }
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
  const regions = regionsOf(hyper);
  return params.flatMap(({ name, length, pointers }) =>
    regions.map((region) => {
      const label = `params.${name}.${region.name}`;
      const start = pointers![region.name];
      if (start === NONE) failType(label, "an offset, because the group has this region", undefined);
      return { start, end: start + length * region.storage.bytes, align: region.storage.bytes, label };
    }),
  );
}
