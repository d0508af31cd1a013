/**
 * The kernels themselves, called as the optimizer calls them, against the float32 reference: every row of the table, as
 * a SIMD module and in TypeScript bit for bit, as a relaxed-SIMD module within a bound.
 */
import fc from "fast-check";
import { Adam, AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { type Kernels, UPDATE_ROWS, type UpdateKernel, type UpdateRow } from "../../src/kernels/table.js";
import { stepConstants } from "../../src/optimizer/stepConstants.js";
import { FLUSH_EVERY, type ReferenceOptions, type ReferenceState, referenceStep } from "../reference.js";
import { expectSameBits, isSubnormal } from "../support/bits.js";
import { ordinary, SPECIALS, wild } from "../support/data.js";
import { runs } from "../support/fuzz.js";
import { unless } from "../support/host.js";
import { sumOfSquares } from "../support/norm.js";
import { type Region, Slab } from "../support/slab.js";
import { eachKind, kernelsOf, noRelaxed, type RawKind } from "../support/wasm.js";

const EXACT: readonly RawKind[] = ["simd", "scalar"];
const KINDS: readonly RawKind[] = ["simd", "relaxed", "scalar"];

/** Every remainder of the unrolled loop after no turn and after several, and what lies around longer rows. */
const SIZES = [...Array.from({ length: 71 }, (_, n) => n), 127, 128, 129, 1000];
/** Start offsets in a 64-byte line. Each buffer of a call has another one. */
const OFFSETS = Array.from({ length: 16 }, (_, n) => n);

const BUFFERS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;
type Buffers = Record<(typeof BUFFERS)[number], Region>;

type Hyper = Omit<ReferenceOptions, "mode" | "amsgrad" | "maximize">;
const HYPERS: readonly Hyper[] = [
  { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, biasCorrection: true },
  { lr: 0.3, betas: [0, 0], eps: 1e-3, weightDecay: 1.7, biasCorrection: false },
  // No eps: 0 / 0 wherever v is zero.
  { lr: 0.02, betas: [0.5, 0.95], eps: 0, weightDecay: 0.1, biasCorrection: true },
  // A factor of decay that is negative, and eps that is subnormal.
  { lr: 3, betas: [0.99, 0.9], eps: 1e-40, weightDecay: 2, biasCorrection: true },
];

/** Gradient factors that a row can be called with: 1 for those that do not multiply. */
const FACTORS: Record<UpdateRow["gradient"], readonly number[]> = {
  plain: [1],
  scaled: [0.37, -1, 1e-30, -65536],
  zeroing: [1, -0.37, 1, 3],
};

/** A row called with everything the reference's options say; `factor` carries the sign of `maximize`. */
interface Call {
  readonly row: UpdateRow;
  readonly options: ReferenceOptions;
  readonly factor: number;
}

function callOf(row: UpdateRow, hyper: Hyper, signedFactor: number): Call {
  const mode = row.decay === "l2" ? "adam" : "adamw";
  const options = { ...hyper, mode, amsgrad: row.amsgrad, maximize: signedFactor < 0 } as const;
  return { row, options, factor: Math.abs(signedFactor) };
}

const constants = new Float32Array(9);

/** The call for elements `from` to `from + length` of the buffers; the flush too, where it is due. */
function runKernel(kernels: Kernels, call: Call, step: number, at: Buffers, length: number, from = 0): void {
  const { row, options, factor } = call;
  stepConstants(
    constants,
    options,
    options.mode === "adam",
    options.lr,
    options.weightDecay,
    step,
    options.maximize ? -factor : factor,
  );
  const { param, grad, expAvg, expAvgSq, maxExpAvgSq } = at;
  const addresses = [param, grad, expAvg, expAvgSq, maxExpAvgSq].map(({ address }) => address + 4 * from);
  const args = [...addresses, length, ...constants] as Parameters<UpdateKernel>;
  kernels.update[UPDATE_ROWS.indexOf(row)]!(...args);
  if (step % FLUSH_EVERY === 0) {
    for (const moment of momentsOf(row)) kernels.flush[0]!(at[moment].address + 4 * from, length);
  }
}

function momentsOf(row: UpdateRow) {
  return row.amsgrad ? (["expAvg", "expAvgSq", "maxExpAvgSq"] as const) : (["expAvg", "expAvgSq"] as const);
}

/** What a row may write; the gradient too, if it zeroes it. */
function writtenBy(row: UpdateRow, at: Buffers): Region[] {
  const names = ["param", ...momentsOf(row), ...(row.gradient === "zeroing" ? (["grad"] as const) : [])] as const;
  return names.map((name) => at[name]);
}

function referenceState(at: Buffers, step: number): ReferenceState {
  const of = (name: keyof Buffers) => at[name].expected;
  return {
    param: of("param"),
    grad: of("grad"),
    expAvg: of("expAvg"),
    expAvgSq: of("expAvgSq"),
    maxExpAvgSq: of("maxExpAvgSq"),
    step,
  };
}

/** Five buffers, each at another offset in its line. */
function placeAll(slab: Slab, offset: number, values: (name: keyof Buffers) => Float32Array): Buffers {
  slab.reset();
  const entries = BUFFERS.map((name, k) => [name, slab.place(name, values(name), (offset + 3 * k) % 16)] as const);
  return Object.fromEntries(entries) as Buffers;
}

/** Windows into a long array: a fresh mixture for every case, without drawing it anew. */
function pool(values: Float32Array) {
  let at = 0;
  return (length: number) => {
    at = (at + 997) % (values.length - length);
    return values.slice(at, at + length);
  };
}

const SUITES = EXACT.flatMap((kind) => UPDATE_ROWS.map((row) => [kind, row.name, row] as const));

describe("bit for bit, no other byte written: 3 steps, sizes 0-70, 127-129, 1000, all offsets, NaN to 1e38", () => {
  it.each(SUITES)("%s %s", (kind, _, row) => {
    const slab = new Slab();
    const kernels = kernelsOf(kind, slab.memory);
    const draw = pool(wild(8192, 7));
    const tame = pool(ordinary(8192, 8));
    let cases = 0;
    for (const size of SIZES) {
      for (const offset of OFFSETS) {
        const factors = FACTORS[row.gradient];
        const call = callOf(row, HYPERS[cases % HYPERS.length]!, factors[(cases >> 2) % factors.length]!);
        // One case in four has ordinary values only and one negative second moments: NaN must not hide all else.
        const values = cases % 4 === 1 ? tame : draw;
        const at = placeAll(slab, offset, (name) =>
          name.endsWith("Sq") && cases % 4 !== 2 ? values(size).map(Math.abs) : values(size),
        );
        // The second of the three flushes.
        const state = referenceState(at, FLUSH_EVERY - 2);
        for (let i = 0; i < 3; i++) {
          const gradients = values(size);
          at.grad.actual.set(gradients);
          at.grad.expected.set(gradients);
          referenceStep(state, call.options, call.factor);
          if (row.gradient === "zeroing") at.grad.expected.fill(0);
          runKernel(kernels, call, state.step, at, size);
          slab.expectAsImagined(`size ${size}, offset ${offset}, step ${state.step}`, writtenBy(row, at));
        }
        cases += 1;
      }
    }
    expect(cases).toBe(75 * 16);
  });
});

const RELAXED =
  "relaxed: 3 steps within 2e-7 of the largest |g|+|λp| (m), 2e-6 of (1-β2)(|g|+λ|p|)² (v), 1e-6 of lr + |p| (p)";

describe(RELAXED, unless(noRelaxed()), () => {
  const suites = UPDATE_ROWS.map((row) => [row.name, row] as const);
  it.each(suites)("%s", (_, row) => {
    const slab = new Slab();
    const kernels = kernelsOf("relaxed", slab.memory);
    const hyper = HYPERS[0]!;
    const worst = { expAvg: 0, expAvgSq: 0, maxExpAvgSq: 0, param: 0 };
    for (const size of SIZES) {
      const offset = size % 16;
      const call = callOf(row, hyper, FACTORS[row.gradient][0]!);
      const start = ordinary(size, size + 1);
      const at = placeAll(slab, offset, (name) => (name === "param" ? start : new Float32Array(size)));
      const state = referenceState(at, FLUSH_EVERY - 2);
      const largest = start.map((p) => hyper.weightDecay * Math.abs(p));
      for (let i = 0; i < 3; i++) {
        const gradients = ordinary(size, 100 * i + size);
        at.grad.actual.set(gradients);
        at.grad.expected.set(gradients);
        gradients.forEach((g, j) => {
          largest[j] = Math.max(largest[j]!, Math.abs(call.factor * g) + hyper.weightDecay * Math.abs(start[j]!));
        });
        referenceStep(state, call.options, call.factor);
        if (row.gradient === "zeroing") at.grad.expected.fill(0);
        runKernel(kernels, call, state.step, at, size);
      }
      const note = (name: keyof typeof worst, unit: (j: number) => number) => {
        const { actual, expected } = at[name];
        actual.forEach((x, j) => {
          worst[name] = Math.max(worst[name], Math.abs(x - expected[j]!) / unit(j));
        });
      };
      note("expAvg", (j) => largest[j]!);
      // Not relative to v itself: where g and λp cancel, so do the digits that a fused operation keeps.
      const square = (j: number) => (1 - hyper.betas[1]) * largest[j]! ** 2;
      note("expAvgSq", square);
      if (row.amsgrad) note("maxExpAvgSq", square);
      note("param", (j) => hyper.lr + Math.abs(start[j]!));
      // Guards, unused buffers and gradients bit for bit, as for every kernel.
      for (const region of writtenBy(row, at)) if (region !== at.grad) region.expected.set(region.actual);
      slab.expectAsImagined(`size ${size}, offset ${offset}`, []);
    }
    expect(worst.expAvg).toBeLessThan(2e-7);
    expect(worst.expAvgSq).toBeLessThan(2e-6);
    expect(worst.maxExpAvgSq).toBeLessThan(2e-6);
    expect(worst.param).toBeLessThan(1e-6);
  });
});

const kinds = KINDS.map((kind) => [kind] as const);

describe("an element's result does not depend on its neighbours", () => {
  const float = fc.oneof(fc.constantFrom(...SPECIALS), fc.float(), fc.float({ min: -4, max: 4, noNaN: true }));
  const cases = fc.integer({ min: 1, max: 70 }).chain((length) =>
    fc.record({
      length: fc.constant(length),
      index: fc.integer({ min: 0, max: length - 1 }),
      cut: fc.integer({ min: 0, max: length }),
      element: fc.tuple(float, float, float, float, float),
      seed: fc.nat(),
      offset: fc.nat(15),
      offsetAlone: fc.nat(15),
      hyper: fc.constantFrom(...HYPERS),
      step: fc.constantFrom(1, 2, 16, 1000),
      row: fc.constantFrom(...UPDATE_ROWS),
      factorIndex: fc.nat(3),
    }),
  );

  eachKind(kinds)("%s: the same bits at any index of any length as alone (1,000 random cases of any row)", (kind) => {
    const [row, alone] = [new Slab(), new Slab()];
    const [rowKernels, aloneKernels] = [kernelsOf(kind, row.memory), kernelsOf(kind, alone.memory)];
    fc.assert(
      fc.property(cases, (c) => {
        const factors = FACTORS[c.row.gradient];
        const call = callOf(c.row, c.hyper, factors[c.factorIndex % factors.length]!);
        const among = placeAll(row, c.offset, (name) => {
          const values = wild(c.length, c.seed + BUFFERS.indexOf(name));
          values[c.index] = c.element[BUFFERS.indexOf(name)]!;
          return values;
        });
        const single = placeAll(alone, c.offsetAlone, (name) => Float32Array.of(c.element[BUFFERS.indexOf(name)]!));
        // In two ranges, as two threads would: the cut may put the element into a vector or into the rest.
        runKernel(rowKernels, call, c.step, among, c.cut);
        runKernel(rowKernels, call, c.step, among, c.length - c.cut, c.cut);
        runKernel(aloneKernels, call, c.step, single, 1);
        for (const name of BUFFERS) {
          expectSameBits(name, among[name].actual.subarray(c.index, c.index + 1), single[name].actual);
        }
      }),
      runs(1000),
    );
  });

  eachKind(kinds)("%s: NaN, Inf and 3.4e38 in one of 35 gradients reach no other element, in every row", (kind) => {
    const slab = new Slab();
    const kernels = kernelsOf(kind, slab.memory);
    for (const row of UPDATE_ROWS) {
      const call = callOf(row, HYPERS[0]!, FACTORS[row.gradient][0]!);
      const run = (poison?: number, index = 0) => {
        const at = placeAll(slab, 3, (name) => {
          const values = ordinary(35, BUFFERS.indexOf(name));
          return name.endsWith("Sq") ? values.map(Math.abs) : values;
        });
        if (poison !== undefined) at.grad.actual[index] = poison;
        runKernel(kernels, call, 5, at, 35);
        return BUFFERS.map((name) => at[name].actual.slice());
      };
      const clean = run();
      expect(clean.flatMap((values) => [...values]).every(Number.isFinite)).toBe(true);
      for (const poison of [NaN, Infinity, -Infinity, 3.4028234663852886e38]) {
        for (let index = 0; index < 35; index++) {
          run(poison, index).forEach((values, b) => {
            if (BUFFERS[b] === "param" && !Number.isFinite(poison)) expect(values[index]).toBeNaN();
            values[index] = clean[b]![index]!;
            expectSameBits(`${row.name} ${BUFFERS[b]}, ${poison} at ${index}`, values, clean[b]!);
          });
        }
      }
    }
  });
});

describe("zero gradient, moments and decay: no bit of a parameter changes in 20 steps (NaN payloads aside)", () => {
  const values = Float32Array.from([...SPECIALS, ...wild(200, 3)]);

  const rows = KINDS.flatMap((kind) =>
    UPDATE_ROWS.filter(({ decay }) => decay === "decoupled").map((row) => [kind, row.name, row] as const),
  );
  eachKind(rows)("%s %s", (kind, _, row) => {
    const slab = new Slab();
    const kernels = kernelsOf(kind, slab.memory);
    for (const factor of FACTORS[row.gradient]) {
      const call = callOf(row, { ...HYPERS[0]!, weightDecay: 0 }, factor);
      const at = placeAll(slab, 1, (name) => (name === "param" ? values : new Float32Array(values.length)));
      for (let step = 1; step <= 20; step++) runKernel(kernels, call, step, at, values.length);
      slab.expectAsImagined(`factor ${factor}`, [at.param]);
    }
  });

  const optimizers = [Adam, AdamW].flatMap((Class) =>
    (["simd", "scalar"] as const).flatMap((kernel) =>
      [false, true].map((maximize) => [Class.name, kernel, maximize, Class] as const),
    ),
  );
  it.each(optimizers)("%s, %s, maximize %s", (_, kernel, maximize, Class) => {
    const optimizer = Class.createSync({ w: values }, { kernel, maximize, weightDecay: 0 });
    for (let step = 1; step <= 20; step++) optimizer.step(step % 2 ? {} : { zeroGrad: true, gradScale: 3 });
    expectSameBits("w", optimizer.param("w"), values);
    const { exp_avg, exp_avg_sq } = optimizer.stateDict().state.w!;
    expectSameBits("exp_avg", exp_avg, new Float32Array(values.length));
    expectSameBits("exp_avg_sq", exp_avg_sq, new Float32Array(values.length));
  });
});

describe("sum_squares", () => {
  eachKind(kinds)(
    "%s: bit for bit the documented float64 sum, sizes 0-70, 127-129, 1000, 4096, all offsets",
    (kind) => {
      const slab = new Slab(new WebAssembly.Memory({ initial: 2 }));
      const kernels = kernelsOf(kind, slab.memory);
      const big = new Float32Array(slab.memory.buffer, 65536 - 4 * 1000, 4096);
      big.set(ordinary(big.length, 9));
      expect(kernels.sumSquares[0]!(big.byteOffset, big.length)).toBe(sumOfSquares(big));
      const draw = pool(ordinary(8192, 10));
      for (const size of SIZES) {
        for (const offset of OFFSETS) {
          slab.reset();
          const values = draw(size);
          const region = slab.place("gradients", values, offset);
          expect(kernels.sumSquares[0]!(region.address, size), `size ${size}, offset ${offset}`).toBe(
            sumOfSquares(values),
          );
          slab.expectAsImagined(`size ${size}, offset ${offset}`, []);
        }
      }
    },
  );

  eachKind(kinds)(
    "%s: not finite exactly when an element is not, at each of 41 places; Infinity without NaN",
    (kind) => {
      const slab = new Slab();
      const kernels = kernelsOf(kind, slab.memory);
      const { actual, address } = slab.place("gradients", new Float32Array(41).fill(-3.4028234663852886e38), 5);
      expect(kernels.sumSquares[0]!(address, 41)).toBe(sumOfSquares(actual));
      expect(kernels.sumSquares[0]!(address, 41)).toBeLessThan(1e80);
      for (let i = 0; i < 41; i++) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          actual[i] = bad;
          expect(kernels.sumSquares[0]!(address, 41)).toBe(bad * bad);
          expect(kernels.sumSquares[0]!(address, i)).toBeLessThan(1e80);
          actual[i] = 2 ** -149;
        }
      }
      // The smallest subnormal's square is far inside float64.
      expect(kernels.sumSquares[0]!(address, 41)).toBe(41 * 2 ** -298);
    },
  );
});

describe("flush", () => {
  eachKind(kinds)(
    "%s: |x| < 2^-126 becomes +0, all else keeps its bits, sizes 0-70, 127-129, 1000, all offsets",
    (kind) => {
      const slab = new Slab();
      const kernels = kernelsOf(kind, slab.memory);
      const draw = pool(wild(8192, 11));
      for (const size of SIZES) {
        for (const offset of OFFSETS) {
          slab.reset();
          const region = slab.place("moments", draw(size), offset);
          region.expected.forEach((x, i) => {
            if (x === 0 || isSubnormal(x)) region.expected[i] = 0;
          });
          kernels.flush[0]!(region.address, size);
          // Not even a NaN's payload may change: flushing writes zeros and nothing else.
          slab.expectAsImagined(`size ${size}, offset ${offset}`, []);
        }
      }
    },
  );

  eachKind(kinds)("%s: a single tiny element is found at each of 70 places", (kind) => {
    const slab = new Slab();
    const kernels = kernelsOf(kind, slab.memory);
    for (let i = 0; i < 70; i++) {
      for (const tiny of [2 ** -149, 2 ** -126 - 2 ** -149, -(2 ** -149), -0]) {
        slab.reset();
        const region = slab.place("moments", new Float32Array(70).fill(2 ** -126), 7);
        region.actual[i] = tiny;
        region.expected[i] = 0;
        kernels.flush[0]!(region.address, 70);
        slab.expectAsImagined(`${tiny} at ${i}`, []);
      }
    }
  });
});
