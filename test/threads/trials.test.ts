/** `threads: "auto"`: what runs on the caller alone and what on all threads, with a clock that the test sets. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Trials } from "../../src/threads/trials.js";

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs of so many elements, whose times are given; "a" for each that ran alone, "t" for each that ran together. */
function record(times: (run: number) => { alone: number; together: number }, runs: number, elements = 1): string {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const trials = new Trials();
  return Array.from({ length: runs }, (_, run) => {
    const { alone, together } = times(run);
    const spend = (time: number, name: string) => () => {
      now += time;
      return name;
    };
    return trials.run(elements, spend(alone, "a"), spend(together, "t"));
  }).join("");
}

const count = (text: string, letter: string) => text.split(letter).length - 1;

describe("trials", () => {
  it("run four times alone, four times together, then the quicker for 64 runs, again, then for 128", () => {
    const TRIAL = "aaaatttt";
    const expected = (letter: string) => TRIAL + letter.repeat(64) + TRIAL + letter.repeat(128) + TRIAL;
    const { length } = expected("");
    expect(record(() => ({ alone: 2, together: 1 }), length + 192)).toBe(expected("t"));
    expect(record(() => ({ alone: 1, together: 2 }), length + 192)).toBe(expected("a"));
    // Threads that gain nothing are left out.
    expect(record(() => ({ alone: 1, together: 1 }), length + 192)).toBe(expected("a"));
  });

  it("do not count the first run of four, nor one that was interrupted", () => {
    const slow = (run: number) => ({ alone: run === 0 ? 100 : 2, together: run === 4 || run === 6 ? 100 : 1 });
    expect(record(slow, 20).slice(8)).toBe("t".repeat(12));
  });

  it("follow a machine that becomes busy", () => {
    const busy = (run: number) => ({ alone: 2, together: run < 100 ? 1 : 4 });
    const ran = record(busy, 1000);
    expect(count(ran.slice(8, 100), "a")).toBe(4);
    // From the third trial on, alone, but for its four runs and those of the next.
    expect(count(ran.slice(216), "t")).toBe(8);
  });

  it.each([1.5, 3, 10])("where threads take %f times as long: at most 5 %% of 10,000 runs are theirs", (together) => {
    expect(
      count(
        record(() => ({ alone: 1, together }), 10_000),
        "t",
      ),
    ).toBeLessThanOrEqual(40);
  });

  it("compare times per element", () => {
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const trials = new Trials();
    // Together it is twice as fast, but has ten times as much to do.
    const ran = Array.from({ length: 12 }, (_, run) => {
      const elements = run < 4 ? 1 : 10;
      const spend = (each: number, name: string) => () => {
        now += each * elements;
        return name;
      };
      return trials.run(elements, spend(1, "a"), spend(0.5, "t"));
    });
    expect(ran.join("")).toBe("aaaatttttttt");
  });
});
