/** Where the digests come from: the float32 reference takes the same steps. */
import { expect, it, vi } from "vitest";
import { halfKernelNames } from "../../src/kernels/rows.js";
import { kernelNames } from "../../src/kernels/table.js";
import { fileUnless, ranInVitest } from "../support/host.js";
import { DIGESTS } from "./digests.js";
import { CASES, longRun, referenceRun } from "./longRun.js";

fileUnless(ranInVitest("runs nothing of the package"));

it.each(CASES)("%s, %s: %i steps of the reference have the digests", async (run, mode, steps) => {
  const { digests, norms, left } = await referenceRun(run, mode);
  expect(digests).toEqual(DIGESTS[run][mode]);
  // What must have happened for the above to mean anything.
  for (const [name, { param, expAvg, expAvgSq }] of left) {
    expect([...param, ...expAvg, ...expAvgSq].every(Number.isFinite), name).toBe(true);
    if (name.startsWith("b")) expect(new Set(param).size, name).toBeGreaterThan(200);
  }
  expect(norms.filter((norm) => norm === -1).length).toBeGreaterThan(0.3 * steps);
  expect(norms.filter((norm) => norm > 0).length).toBeGreaterThan(0.3 * steps);
});

it.each([
  ["float32", kernelNames()],
  ["halves", [...kernelNames(), ...halfKernelNames()]],
] as const)("%s: the run calls every kernel that its module has", async (run, names) => {
  const { Instance } = WebAssembly;
  const called = new Set<string>();
  class Counted {
    readonly exports: WebAssembly.Exports;
    constructor(module: WebAssembly.Module, imports: WebAssembly.Imports) {
      const wrap = ([name, kernel]: [string, unknown]) => {
        const counted = (...args: number[]) => {
          called.add(name);
          return (kernel as (...args: number[]) => unknown)(...args);
        };
        return [name, counted];
      };
      this.exports = Object.fromEntries(Object.entries(new Instance(module, imports).exports).map(wrap));
    }
  }
  vi.spyOn(WebAssembly, "Instance").mockImplementation(Counted as never);
  for (const mode of ["adam", "adamw"] as const) await longRun(run, mode, { kernel: "simd" }, "step");
  vi.restoreAllMocks();
  expect([...called].sort()).toEqual([...names].sort());
});
