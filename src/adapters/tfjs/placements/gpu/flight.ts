import type { Part } from "../../placement.js";
import type { Slot } from "../../slot.js";

/** How often a slot's steps were skipped, or, for the first one, any step. */
export class Counter {
  /** As far as the host knows. */
  skips = 0;
  /** Steps it took part in whose outcome the host does not know, by number. */
  pending: number[] = [];

  constructor(
    readonly slot: Slot | undefined,
    /** Its place in a verdict. */
    readonly index: number,
  ) {}
}

/** Steps that a device decides, and that the host counts as taken until it knows better. */
export class Flight {
  readonly all = new Counter(undefined, 0);
  readonly counters: Counter[] = [this.all];
  readonly #bySlot = new Map<Slot, Counter>();
  /** Number of the last step. */
  last = 0;
  /** The last one whose outcome is known. */
  known = 0;

  counterOf(slot: Slot): Counter {
    let counter = this.#bySlot.get(slot);
    if (counter === undefined) {
      counter = new Counter(slot, this.counters.length);
      this.counters.push(counter);
      this.#bySlot.set(slot, counter);
    }
    return counter;
  }

  /** Counts a step as taken. */
  depart(parts: readonly Part[]): void {
    this.last++;
    for (const counter of [this.all, ...parts.map(({ slot }) => this.counterOf(slot))]) counter.pending.push(this.last);
  }

  /**
   * Corrects the counts of all steps up to one.
   *
   * @param skips by counter, as the device had them then
   * @returns how many of the steps were skipped
   */
  land(step: number, skips: ArrayLike<number>): number {
    const before = this.all.skips;
    for (const counter of this.counters) {
      const now = skips[counter.index] ?? 0;
      if (counter.slot !== undefined) counter.slot.step -= now - counter.skips;
      counter.skips = now;
      counter.pending = counter.pending.filter((pending) => pending > step);
    }
    this.known = step;
    return this.all.skips - before;
  }

  /** The largest count of these slots after the last step that is known. */
  largestStep(slots: readonly Slot[]): number {
    return slots.reduce((most, slot) => Math.max(most, slot.step - this.counterOf(slot).pending.length), 0);
  }
}
