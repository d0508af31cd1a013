/** Where the digests come from: the float32 reference takes the same steps. */
import { expect, it, vi } from "vitest";
import { UPDATE_ROWS } from "../../src/kernels/table.js";
import { fileUnless, ranInVitest } from "../support/host.js";
import { Model } from "../support/model.js";
import { HALF_DIGEST, halfReference } from "./halfRun.js";
import { DIGESTS, digestOf, GROUPS, longRun, MODES, takeSteps } from "./longRun.js";

fileUnless(ranInVitest("runs nothing of the package"));

it.each(Object.keys(MODES) as (keyof typeof MODES)[])(
  "%s: 10,000 steps of the reference have the digest",
  async (mode) => {
    const model = new Model(mode, {});
    for (const { params, ...options } of GROUPS) model.add(params, options);
    const names = [...model.tensors.keys()];
    const amsgrad = new Set(model.groups.flatMap(({ hyper, names }) => (hyper.amsgrad ? names : [])));
    const norms = await takeSteps({
      names,
      grad: (name) => model.at(name).grad,
      step: (options) => model.step(options),
    });
    const parts = names.flatMap((name) => {
      const { param, expAvg, expAvgSq, maxExpAvgSq } = model.at(name);
      return [param, expAvg, expAvgSq, amsgrad.has(name) ? maxExpAvgSq : new Float32Array()];
    });
    expect(await digestOf([norms, ...parts])).toBe(DIGESTS[mode]);
    // What must have happened for the above to mean anything.
    const { param, expAvg, expAvgSq } = model.at("b0");
    expect([...param, ...expAvg, ...expAvgSq].every(Number.isFinite)).toBe(true);
    expect(new Set(param).size).toBeGreaterThan(200);
    expect(norms.filter((norm) => norm === -1).length).toBeGreaterThan(3000);
    expect(norms.filter((norm) => norm > 0).length).toBeGreaterThan(3000);
  },
);

it("numbers of 16 bits: the steps of the reference have the digest", async () => {
  expect(await digestOf(halfReference())).toBe(HALF_DIGEST);
});

it("the run calls every kernel there is", async () => {
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
  for (const mode of ["adam", "adamw"] as const) await longRun(mode, { kernel: "simd" }, "step");
  vi.restoreAllMocks();
  expect([...called].sort()).toEqual([...UPDATE_ROWS.map(({ name }) => name), "flush", "sum_squares"].sort());
});
