/** From `start` up to, and without, `end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** By where they start, without those that are empty: these overlap nothing. */
export function sorted<I extends Interval>(intervals: readonly I[]): I[] {
  return intervals.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start);
}

/** Intervals of which no two overlap, in order, so that a search takes log n steps. */
export class Intervals<I extends Interval> {
  readonly #all: I[];

  /** @param all sorted */
  constructor(all: I[]) {
    this.#all = all;
  }

  /** Two that overlap, the one that starts first in front: both of `added`, which is sorted, or one of them and one from here. */
  overlap(added: readonly I[]): readonly [I, I] | undefined {
    for (const [i, interval] of added.entries()) {
      const at = this.#firstFrom(interval.start);
      for (const pair of [
        [added[i - 1], interval],
        [this.#all[at - 1], interval],
        [interval, this.#all[at]],
      ] as const) {
        const [one, next] = pair;
        if (one !== undefined && next !== undefined && one.end > next.start) return [one, next];
      }
    }
    return undefined;
  }

  /** @param added sorted, and overlapping nothing */
  add(added: readonly I[]): void {
    let from = this.#all.length;
    let to = from + added.length;
    this.#all.length = to;
    // From the end: where all that is added lies above the rest, nothing moves.
    for (let i = added.length - 1; i >= 0; i--) {
      const interval = added[i]!;
      for (const at = this.#firstFrom(interval.start, from); from > at; ) this.#all[--to] = this.#all[--from]!;
      this.#all[--to] = interval;
    }
  }

  /** Index of the first of `length` intervals that starts at or after `start`. */
  #firstFrom(start: number, length = this.#all.length): number {
    let low = 0;
    for (let high = length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (this.#all[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
