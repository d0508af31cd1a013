/** The example on MPI, as its README says: 2, 4 and 1 ranks after each other. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { installExample } from "../support/installExample.js";
import { root } from "../support/root.js";

// Four ranks, on one core perhaps, beside other tests.
vi.setConfig({ testTimeout: 900_000 });

const EXAMPLE = join(root, "examples/zero1");

function noMpich(): string | undefined {
  try {
    return /MPICH/i.test(execFileSync("mpichversion", { encoding: "utf8" })) ? undefined : "no MPICH";
  } catch {
    return "needs MPICH (Debian's mpich)";
  }
}

describe("the example on MPI (needs mpich and an npm registry)", () => {
  let lacking = noMpich();
  beforeAll(() => {
    lacking ??= installExample(EXAMPLE);
    if (lacking !== undefined) console.warn(`skipped, examples/zero1: ${lacking}`);
  });
  beforeEach(({ skip }) => skip(lacking !== undefined, lacking));

  it("type-checks under `strict`", () => {
    const compile = () =>
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", EXAMPLE], { stdio: "pipe" });
    expect(compile).not.toThrow();
  });

  it("whole-number gradients: no bit off one process; real ones: within a learning rate; a rank holds its share of the state", () => {
    const args = ["--import", "tsx", join(EXAMPLE, "main.ts"), "200000"];
    const printed = execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", stdio: "pipe" });
    const lines = printed.trimEnd().split("\n");
    const epochs = [2, 2, 4, 4, 1].map((ranks, i) => `epoch ${i + 1}, ${ranks} ${ranks === 1 ? "rank" : "ranks"}: `);
    for (const start of [1, 9]) {
      epochs.forEach((text, i) => {
        expect(lines[start + i]!.startsWith(text), lines[start + i]).toBe(true);
        expect(Number(/([\d.]+) % of held-out/.exec(lines[start + i]!)![1])).toBeGreaterThan(75);
      });
    }
    expect(lines[6]).toBe("no bit off one process: parameters, moments, steps");
    const [, off] = /^no parameter more than ([\d.]+) learning rates off one process \(bound: 1\)$/.exec(lines[14]!)!;
    expect(Number(off)).toBeLessThanOrEqual(1);
    // Ranks, and megabytes of an optimizer: 16 bytes a parameter, and at most a page of 64 KiB.
    const rows = lines.slice(18).map((line) => line.trim().split(/\s+/));
    expect(rows.map(([ranks]) => ranks)).toEqual(["1", "2", "4"]);
    for (const [ranks, , optimizer] of rows) {
      const least = (16 * 0.2) / Number(ranks);
      expect(Number(optimizer)).toBeGreaterThan(least - 0.06);
      expect(Number(optimizer)).toBeLessThan(least + 0.13);
    }
  });
});
