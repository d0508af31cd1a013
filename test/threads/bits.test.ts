/** Any number of threads, the same bits; each run beside one on one thread, and one of them beside the float32 reference. */
import { type AdamOptions, AdamW, type ParamGroup, type StepOptions } from "fused-adam";
import { afterEach, describe, expect, it } from "vitest";
import { isSubnormal } from "../support/bits.js";
import { ordinary, wild } from "../support/data.js";
import { dyadic, type Mode, Model, type Optimizer } from "../support/model.js";
import { normOf } from "../support/norm.js";
import { CALLS, call, create, expectSameRun, fillAll, NORM_BLOCK, SMALL } from "./support.js";

const KERNELS = ["simd", "scalar"] as const;
const THREADS = [1, 2, 3, 8];

const made: Optimizer[] = [];
afterEach(() => {
  for (const optimizer of made.splice(0)) optimizer.dispose();
});

function crew(
  mode: Mode,
  params: Parameters<typeof create>[1],
  options: Parameters<typeof create>[2],
  counts = THREADS,
): Optimizer[] {
  const all = counts.map((threads) => create(mode, params, { ...options, threads }));
  expect(all.map(({ threads }) => threads)).toEqual(counts);
  made.push(...all);
  return all;
}

/** Values out of one long array, because to draw them takes longer than the steps. */
function drawnFrom(values: Float32Array): (length: number, seed: number) => Float32Array {
  return (length, seed) => {
    const start = (7919 * seed) % (values.length - length);
    return values.subarray(start, start + length);
  };
}
const noise = drawnFrom(ordinary(3 * SMALL, 7));
const wildNoise = drawnFrom(wild(3 * SMALL, 8));

/** Lengths around what divides something: lines, blocks of the norm, chunks. Together 1.7 times what threads begin at. */
const LENGTHS = [1, 0, 15, 16, 17, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 65537, 29999, 3, 7777];

function groups(): ParamGroup[] {
  const named = (lengths: number[], from: number) =>
    Object.fromEntries(lengths.map((length, i) => [`t${from + i}`, ordinary(length, from + i)]));
  return [
    { params: named(LENGTHS.slice(0, 5), 0) },
    { params: named(LENGTHS.slice(5, 9), 5), amsgrad: true, lr: (t) => 0.1 / t },
    // Moments that reach the subnormals before the flush at 32, once their gradients are zero.
    { params: named(LENGTHS.slice(9), 9), betas: [0.05, 0.1], maximize: true, weightDecay: 0 },
  ];
}

/** Every option, in turns that meet the flushes after steps 32 and 64. */
const STEPS: readonly StepOptions[] = [
  {},
  { clipNorm: 0.5 },
  { gradScale: 1024, skipNonFinite: true },
  { zeroGrad: true },
  { skip: ["t2", "t8"] },
  { clipNorm: 1e9, gradScale: 0.3, zeroGrad: true, skip: ["t0", "t6", "t9"] },
  // All that is not small is left out.
  { clipNorm: 1, skip: ["t8", "t9"] },
];

describe.each(KERNELS)("%s", (kernel) => {
  const RUNS: [Mode, AdamOptions][] = [
    ["adam", { weightDecay: 0.1 }],
    ["adamw", { amsgrad: true, biasCorrection: false }],
  ];
  it.each(kernel === "simd" ? RUNS : RUNS.slice(1))(
    "%s %j: 66 steps with every option, in turns step and stepAsync, on 2, 3, 8 and 'auto' threads as on 1",
    async (mode, options) => {
      const all = crew(mode, groups(), { ...options, kernel });
      all.push(create(mode, groups(), { ...options, kernel, threads: "auto" }));
      made.push(all.at(-1)!);
      const [alone] = all as [Optimizer];
      const met = { skipped: 0, clipped: 0 };
      for (let n = 0; n < 66; n++) {
        fillAll(all, n, n % 11 === 5 ? wildNoise : noise);
        // Zeros, so that moments sink.
        if (n > 0) for (const optimizer of all) for (const name of ["t9", "t10"]) optimizer.grad(name).fill(0);
        if (n % 13 === 3) for (const optimizer of all) optimizer.grad("t8")[60000] = NaN;
        const asked = STEPS[n % STEPS.length]!;
        const skip = new Set(asked.skip);
        const active = alone.names.filter((name) => !skip.has(name)).map((name) => alone.grad(name).slice());
        const expected = alone.step(asked);
        if (expected.gradNorm !== undefined) expect(expected.gradNorm).toBe(normOf(active, asked.gradScale ?? 1));
        met.skipped += expected.skipped ? 1 : 0;
        met.clipped += (expected.gradNorm ?? 0) > (asked.clipNorm ?? Infinity) ? 1 : 0;
        for (const [i, optimizer] of all.slice(1).entries()) {
          const when = `step ${n + 1} on ${optimizer.threads} threads`;
          expect(await call(CALLS[(n + i) % 2]!, optimizer, asked), when).toEqual(expected);
          const last = n === 31 || n === 63 || n === 65;
          if (last || n % 5 === 0) expectSameRun(optimizer, alone, when, last);
        }
      }
      expect(met.skipped).toBeGreaterThan(2);
      expect(met.clipped).toBeGreaterThan(5);
    },
  );

  it.each([SMALL - 1, SMALL, 1])(
    "%i elements in one tensor, on 3 threads as on 1: 4 steps of each kind",
    async (length) => {
      const all = crew("adamw", { w: ordinary(length, 1) }, { kernel }, [1, 3]);
      for (let n = 0; n < 8; n++) {
        fillAll(all, n, noise);
        const options = { clipNorm: n % 2 ? 1 : 1e6, zeroGrad: n % 3 === 0 };
        const expected = all[0]!.step(options);
        for (const optimizer of all.slice(1)) {
          expect(await call(n < 4 ? "step" : "stepAsync", optimizer, options)).toEqual(expected);
          expectSameRun(optimizer, all[0]!, `step ${n + 1} on ${optimizer.threads}`);
        }
      }
    },
  );

  it("3,000 tensors of 1 to 63 elements, a third of them apart by their step, on 3 threads as on 1: 3 steps", async () => {
    const names = Array.from({ length: 3000 }, (_, i) => `p${i}`);
    const all = crew(
      "adam",
      Object.fromEntries(names.map((name, i) => [name, ordinary(1 + (i % 63), i)])),
      { kernel },
      [1, 3],
    );
    for (let n = 0; n < 3; n++) {
      fillAll(all, n, noise);
      const options = { clipNorm: 3, skip: n === 1 ? names.filter((_, i) => i % 3 === 0) : [] };
      const expected = all[0]!.step(options);
      for (const optimizer of all.slice(1)) {
        expect(await call(CALLS[n % 2]!, optimizer, options)).toEqual(expected);
        expectSameRun(optimizer, all[0]!, `step ${n + 1} on ${optimizer.threads}`, n === 2);
      }
    }
  });

  it("on 3 threads as the float32 reference, 34 steps past a flush of subnormal moments", async () => {
    const params = { a: dyadic(SMALL + 333, 1), b: dyadic(20001, 2), c: dyadic(5, 3) };
    const options = { betas: [0.05, 0.1], amsgrad: true, weightDecay: 0.125 } as const;
    const optimizer = AdamW.createSync(params, { ...options, kernel, threads: 3 });
    made.push(optimizer);
    const model = new Model("adamw", params, options);
    let sunk = 0;
    for (let n = 0; n < 34; n++) {
      for (const [i, name] of optimizer.names.entries()) {
        const { length } = optimizer.grad(name);
        model.setGrad(optimizer, name, n > 0 && name === "b" ? 0 : dyadic(length, n + i));
      }
      const asked = n % 4 === 0 ? { clipNorm: 40, gradScale: 2, zeroGrad: true } : {};
      expect(await call(CALLS[n % 2]!, optimizer, asked)).toEqual(model.step(asked));
      if (n === 30)
        sunk = model.at("b").expAvgSq.filter(isSubnormal).length + model.at("b").expAvg.filter(isSubnormal).length;
      if (n === 30 || n === 31 || n === 33) model.expectSame(optimizer, `step ${n + 1}:`);
    }
    // There was something to flush.
    expect(sunk).toBeGreaterThan(1000);
  });
});
