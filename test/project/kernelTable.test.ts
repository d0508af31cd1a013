/** What the build makes of the kernel table, and what it refuses. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  FLUSH,
  flushes,
  hasIntegers,
  kindOf,
  MOST_ROWS,
  rowIn,
  SUM_SQUARES,
  UPDATE,
  WITH_INTEGERS,
} from "../../src/kernels/op.js";
import * as rows from "../../src/kernels/rows.js";
import * as table from "../../src/kernels/table.js";
import { root } from "../support/root.js";

const { check } = await import(join(root, "scripts/kernels.mjs"));

describe("an op", () => {
  it("says its kind, its row, whether it flushes and whether it has integers, for the first and the last row there can be; none is 0", () => {
    for (const row of [0, 1, 31, 32, MOST_ROWS - 1]) {
      for (const flush of [0, FLUSH]) {
        for (const integers of [0, WITH_INTEGERS]) {
          const op = Uint32Array.of(UPDATE + flush + integers + row)[0]!;
          const read = [kindOf(op), rowIn(op), flushes(op), hasIntegers(op)];
          expect(read).toEqual([UPDATE, row, flush !== 0, integers !== 0]);
        }
      }
    }
    expect([SUM_SQUARES].flatMap((op) => [kindOf(op), rowIn(op), flushes(op), hasIntegers(op)])).toEqual([
      SUM_SQUARES,
      0,
      false,
      false,
    ]);
    expect(kindOf(0)).not.toBe(UPDATE);
  });
});

describe("the build", () => {
  const read = (file: string) => readFileSync(join(root, file), "utf8");
  const whole = { ...table, ...rows, MOST_ROWS };
  const refused = (changed: object, reads = read) => expect(() => check({ ...whole, ...changed }, reads));

  it("takes the table as it is", () => {
    refused({}).not.toThrow();
  });

  it("refuses more rows than an op has room for", () => {
    refused({ MOST_ROWS: rows.FORMAT_ROWS.length }).not.toThrow();
    refused({ MOST_ROWS: rows.FORMAT_ROWS.length - 1 }).toThrow(/FORMAT_ROWS.*at most 71 rows, got 72/);
  });

  it("refuses a name twice, and a name that no function can have", () => {
    refused({ kernelNames: () => ["a", "b", "a"] }).toThrow(/a twice/);
    refused({ kernelNames: () => ["l2-scaled"] }).toThrow(/names of functions, got l2-scaled/);
  });

  it.each(["assembly/sweep.ts", "src/kernels/scalar.ts"])(
    "refuses %s with parameters missing or in another order",
    (file) => {
      const changed = (from: RegExp, to: string) => (path: string) => {
        const text = read(path);
        if (path !== file) return text;
        expect(text).toMatch(from);
        return text.replace(from, to);
      };
      refused({}, changed(/\beps\b(.*?)\bdecay\b/s, "decay$1eps")).toThrow(file);
      refused({}, changed(/\bgrad(: usize,\s+expAvg|,\s+expAvg)/, "gradient$1")).toThrow(file);
      refused({}, changed(/\bgradFactor\b.*?\n/, "\n")).toThrow(file);
      refused({ CONSTANTS: [...table.CONSTANTS, "seed"] }).toThrow("assembly/sweep.ts");
    },
  );
});
