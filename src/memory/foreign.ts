import { fail, failType } from "../checks/errors.js";
import { LIMIT } from "./arena.js";
import { type Interval, Intervals, sorted } from "./intervals.js";
import type { GroupSpec } from "./params.js";
import { NONE } from "./regions.js";
import { byteLength } from "./shared.js";

/** A region in the host's memory. */
interface Extent extends Interval {
  /** What `start` is to be a multiple of. */
  readonly align: number;
  readonly label: string;
}

/** The host's memory. The host says where regions lie; here that is checked. */
export class Foreign {
  /** What is taken; undefined while it is not known. */
  #taken: Intervals<Extent> | undefined;

  constructor(readonly memory: WebAssembly.Memory) {}

  /**
   * Checks that every region of `added` is aligned, in range, and apart from all the others.
   *
   * @param existing what is there already; asked for only where it is not known
   * @throws RangeError `ERR_MISALIGNED`, `ERR_OUT_OF_BOUNDS`, `ERR_OVERLAP`
   */
  check(added: readonly GroupSpec[], existing?: () => readonly GroupSpec[]): void {
    const extents = added.flatMap(extentsOf);
    const wanted = extents.reduce((most, { end }) => Math.max(most, end), 0);
    const size = Math.min(LIMIT, byteLength(this.memory, wanted));
    for (const { start, end, align, label } of extents) {
      if (start % align !== 0)
        fail(RangeError, "ERR_MISALIGNED", label, `an offset divisible by ${align}`, String(start));
      if (end > size)
        fail(RangeError, "ERR_OUT_OF_BOUNDS", label, `a region inside [0, ${size})`, `[${start}, ${end})`);
    }
    if (existing !== undefined) this.#taken ??= new Intervals(sorted(existing().flatMap(extentsOf)));
    const pair = (this.#taken ?? new Intervals<Extent>([])).overlap(sorted(extents));
    if (pair !== undefined) {
      const [one, { label, start, end }] = pair;
      fail(RangeError, "ERR_OVERLAP", label, `a region apart from ${one.label}`, `[${start}, ${end})`);
    }
  }

  /** Remembers what has passed `check`. */
  take(added: readonly GroupSpec[]): void {
    this.#taken?.add(sorted(added.flatMap(extentsOf)));
  }

  /** The host has moved regions. */
  forget(): void {
    this.#taken = undefined;
  }
}

/** The regions that a group has in the host's memory. */
function extentsOf({ regions, params }: GroupSpec): Extent[] {
  return params.flatMap(({ name, length, pointers }) =>
    regions.map((region) => {
      const label = `params.${name}.${region.name}`;
      const start = pointers![region.name];
      if (start === NONE) failType(label, "an offset, because the group has this region", undefined);
      return { start, end: start + length * region.storage.bytes, align: region.storage.bytes, label };
    }),
  );
}
