/** The regions that are taken of the host's memory: found again in log n steps, whatever order they came in. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Interval, Intervals, sorted } from "../../src/memory/intervals.js";
import { runs } from "../support/fuzz.js";

const overlaps = (a: Interval, b: Interval) => a.start < b.end && b.start < a.end && a.start < a.end && b.start < b.end;

it("says that two overlap when and only when two do", () => {
  const interval = fc.tuple(fc.nat(60), fc.nat(6)).map(([start, length]) => ({ start, end: start + length }));
  fc.assert(
    fc.property(fc.array(fc.array(interval, { maxLength: 5 }), { maxLength: 12 }), (batches) => {
      const intervals = new Intervals<Interval>([]);
      const taken: Interval[] = [];
      for (const batch of batches) {
        const clash = batch.some((a, i) => [...taken, ...batch.slice(i + 1)].some((b) => overlaps(a, b)));
        const found = intervals.overlap(sorted(batch));
        expect(found !== undefined).toBe(clash);
        if (found === undefined) {
          intervals.add(sorted(batch));
          taken.push(...batch);
          continue;
        }
        const [one, next] = found;
        expect(overlaps(one, next)).toBe(true);
        expect(one.start).toBeLessThanOrEqual(next.start);
        expect(batch.includes(one) || batch.includes(next)).toBe(true);
      }
    }),
    runs(2000),
  );
});

describe("looks at no more than 4 log2(n) + 8 places for each of n that are added, not at all of them", () => {
  /** Where the i-th of n goes. */
  const ORDERS: Record<string, (i: number, n: number) => number> = {
    upwards: (i) => i,
    downwards: (i, n) => n - i,
    "in no order": (i, n) => (i * 7919) % n,
  };
  it.each(Object.entries(ORDERS))("%s", (_, place) => {
    for (const n of [256, 4096]) {
      let looks = 0;
      const at = (start: number): Interval => ({
        get start() {
          looks++;
          return start;
        },
        end: start + 8,
      });
      const intervals = new Intervals<Interval>([]);
      for (let i = 0; i < n; i++) {
        const added = [at(16 * place(i, n))];
        expect(intervals.overlap(added)).toBeUndefined();
        intervals.add(added);
      }
      expect(looks / n).toBeLessThan(4 * Math.log2(n) + 8);
    }
  });
});
