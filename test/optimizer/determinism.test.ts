/**
 * The same bits everywhere: whatever memory tensors lie in, however they are cut and grouped, whichever kernel runs, a
 * random sequence of steps gives every element the bits that the float32 reference gives it.
 */
import fc from "fast-check";
import type { AdamOptions, StepOptions } from "fused-adam";
import { describe, expect, it } from "vitest";
import { FLUSH_EVERY } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { ordinary, randomBits, SPECIALS } from "../support/data.js";
import { runs } from "../support/fuzz.js";
import { Layout, type LayoutOptions } from "../support/layout.js";
import { dyadic, Model } from "../support/model.js";
import { normOf } from "../support/norm.js";

const hypers = fc.record({
  lr: fc.constantFrom(1e-3, 0.1, 0),
  betas: fc.constantFrom([0.9, 0.999], [0.5, 0.6], [0, 0]) as fc.Arbitrary<[number, number]>,
  // Without eps an update of zeros makes NaN: then no padding may go through a kernel unnoticed.
  eps: fc.constantFrom(1e-8, 1e-8, 1e-3, 0),
  weightDecay: fc.constantFrom(0, 0.01, 3),
  amsgrad: fc.boolean(),
  maximize: fc.boolean(),
  biasCorrection: fc.boolean(),
}) satisfies fc.Arbitrary<AdamOptions>;

/** What a step's gradients are. Scaled by a power of two throughout, the sums of their squares stay exact. */
const gradientKinds = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("dense" as const), exponent: fc.constantFrom(0, 0, -20, -64, 40) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "zero" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("bad" as const), bad: fc.constantFrom(NaN, Infinity) }) },
);

const steps = fc.record({
  gradients: gradientKinds,
  seed: fc.nat(),
  clipNorm: fc.constantFrom(undefined, undefined, 0, 0.5, 3, 1e9),
  gradScale: fc.constantFrom(undefined, undefined, 1024, 3, 0.7),
  skipNonFinite: fc.constantFrom(undefined, false, true),
  zeroGrad: fc.boolean(),
  /** Tensors to skip, as bits. */
  skip: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(31) }),
  /** Another rate from here on. */
  lr: fc.constantFrom(undefined, undefined, undefined, 0.02),
  maximize: fc.constantFrom(undefined, undefined, undefined, true, false),
});
type RandomStep = typeof steps extends fc.Arbitrary<infer T> ? T : never;

const histories = fc.record({
  mode: fc.constantFrom("adam" as const, "adamw" as const),
  hyper: hypers,
  lengths: fc.array(fc.oneof(fc.nat(40), fc.constantFrom(0, 1, 15, 16, 17, 32, 64)), { minLength: 1, maxLength: 5 }),
  /** Steps taken before: none, or so many that most histories meet a flush. */
  taken: fc.constantFrom(0, FLUSH_EVERY - 12, FLUSH_EVERY - 1),
  steps: fc.array(steps, { minLength: 1, maxLength: 20, size: "max" }),
  seed: fc.nat(),
});

/** Values to start from: ordinary ones and a few that are not. */
function initial(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  return ordinary(length, seed).map((x) => (next() % 8 === 0 ? SPECIALS[next() % SPECIALS.length]! : x));
}

function gradientsOf({ gradients, seed }: RandomStep, lengths: readonly number[]): Float32Array[] {
  return lengths.map((length, i) => {
    const values = gradients.kind === "zero" ? new Float32Array(length) : dyadic(length, seed + i);
    if (gradients.kind === "dense") return values.map((x) => x * 2 ** gradients.exponent);
    if (gradients.kind === "bad" && length > 0) values[seed % length] = gradients.bad;
    return values;
  });
}

/** Cuts each length anywhere, into up to four pieces, some of them empty. */
function cutUp(lengths: readonly number[], seed: number): number[][] {
  const next = randomBits(seed);
  return lengths.map((length) => {
    const pieces = [];
    let rest = length;
    while (pieces.length < 3 && next() % 3 > 0) {
      const piece = next() % (rest + 1);
      pieces.push(piece);
      rest -= piece;
    }
    return [...pieces, rest];
  });
}

function layoutsOf(lengths: readonly number[], seed: number): Record<string, LayoutOptions> {
  const whole = lengths.map((length) => [length]);
  const base = { kernel: "simd", memory: "arena", groups: "one", pieces: whole, seed } as const;
  const cut = cutUp(lengths, seed);
  const ones = whole.map((pieces, i) => (i === 0 && pieces[0]! > 0 ? new Array<number>(pieces[0]!).fill(1) : pieces));
  return {
    plain: base,
    scalar: { ...base, kernel: "scalar" },
    "cut up": { ...base, pieces: cut },
    "one of them in single elements": { ...base, pieces: ones },
    "in groups": { ...base, groups: "each", pieces: cut },
    scattered: { ...base, memory: "scattered" },
    "adjacent, cut up": { ...base, memory: "adjacent", pieces: cut },
    "adjacent, in groups, scalar": { ...base, memory: "adjacent", groups: "each", kernel: "scalar" },
    "scattered, cut up, scalar": { ...base, memory: "scattered", pieces: cut, kernel: "scalar" },
  };
}

function stepOptions(step: RandomStep): Omit<StepOptions, "skip"> {
  const { clipNorm, gradScale, skipNonFinite, zeroGrad } = step;
  return { clipNorm, gradScale, skipNonFinite, zeroGrad };
}

/** Parameters and gradients, bit for bit, and with `state` everything else that an element has. */
function expectAsModel(layout: Layout, model: Model, tensors: number, when: string, state: boolean): void {
  const { amsgrad } = model.groups[0]!.hyper;
  const dict = state ? layout.optimizer.stateDict() : undefined;
  for (let i = 0; i < tensors; i++) {
    const expected = model.at(`t${i}`);
    const label = `${layout.label}, ${when}, tensor ${i}`;
    expectSameBits(`${label}, param`, layout.param(i), expected.param);
    expectSameBits(`${label}, grad`, layout.grad(i), expected.grad);
    if (dict === undefined) continue;
    const { expAvg, expAvgSq, maxExpAvgSq } = layout.moments(i, dict);
    expectSameBits(`${label}, expAvg`, expAvg, expected.expAvg);
    expectSameBits(`${label}, expAvgSq`, expAvgSq, expected.expAvgSq);
    if (amsgrad) expectSameBits(`${label}, maxExpAvgSq`, maxExpAvgSq, expected.maxExpAvgSq);
  }
}

describe("an element's bits do not depend on layout, memory, grouping or kernel", () => {
  it("9 layouts and the reference agree on every bit and result: 120 random histories of up to 20 steps", () => {
    const met = { skipped: 0, flushed: 0, clipped: 0 };
    fc.assert(
      fc.property(histories, ({ mode, hyper, lengths, taken, steps, seed }) => {
        const tensors = lengths.map((length, i) => initial(length, seed + i));
        const model = new Model(mode, Object.fromEntries(tensors.map((values, i) => [`t${i}`, values])), hyper);
        const layouts = Object.entries(layoutsOf(lengths, seed)).map(
          ([label, options]) => new Layout(label, mode, tensors, hyper, options),
        );
        for (const tensor of model.tensors.values()) tensor.step = taken;
        for (const { optimizer } of layouts) {
          const dict = optimizer.stateDict();
          for (const entry of Object.values(dict.state)) entry.step = taken;
          optimizer.loadStateDict(dict);
        }
        for (const [n, step] of steps.entries()) {
          const skip = lengths.flatMap((_, i) => ((step.skip >> i) & 1 ? [i] : []));
          const gradients = gradientsOf(step, lengths);
          gradients.forEach((values, i) => {
            model.at(`t${i}`).grad.set(values);
          });
          const modelHyper = model.groups[0]!.hyper;
          if (step.lr !== undefined) modelHyper.lr = step.lr;
          if (step.maximize !== undefined) modelHyper.maximize = step.maximize;
          const expected = model.step({ ...stepOptions(step), skip: skip.map((i) => `t${i}`) });
          for (const layout of layouts) {
            for (const group of layout.optimizer.paramGroups) {
              if (step.lr !== undefined) group.lr = step.lr;
              if (step.maximize !== undefined) group.maximize = step.maximize;
            }
            gradients.forEach((values, i) => {
              layout.setGrad(i, values);
            });
            const result = layout.optimizer.step({ ...stepOptions(step), skip: layout.names(skip) });
            expect(result, `${layout.label}, step ${n + 1}`).toEqual(expected);
            // Moments every third step: copying them costs more than all else here.
            const state = n % 3 === 0 || n === steps.length - 1;
            expectAsModel(layout, model, lengths.length, `step ${n + 1}`, state);
          }
          met.skipped += expected.skipped ? 1 : 0;
          met.clipped += !expected.skipped && (expected.gradNorm ?? 0) > (step.clipNorm ?? Infinity) ? 1 : 0;
          met.flushed += !expected.skipped && expected.step === FLUSH_EVERY ? 1 : 0;
        }
        for (const layout of layouts) layout.expectGuardsUntouched();
      }),
      runs(120),
    );
    // What must have happened for the above to mean anything.
    expect(met.skipped).toBeGreaterThan(50);
    expect(met.clipped).toBeGreaterThan(50);
    expect(met.flushed).toBeGreaterThan(20);
  });
});

describe("the gradient norm", () => {
  const anyMagnitude = (length: number, seed: number) => {
    const next = randomBits(seed);
    return ordinary(length, seed).map((x) => x * 2 ** ((next() % 200) - 100));
  };

  it("has the documented sum's bits in arena and foreign memory, SIMD and scalar: 40 random sets of tensors", () => {
    const cases = fc.record({
      lengths: fc.array(fc.oneof(fc.nat(200), fc.constantFrom(4095, 4096, 4097, 40000)), {
        minLength: 1,
        maxLength: 4,
      }),
      seed: fc.nat(),
      magnitudes: fc.constantFrom("near", "any"),
      gradScale: fc.constantFrom(1, 1024, 0.3),
    });
    let rounded = 0;
    fc.assert(
      fc.property(cases, ({ lengths, seed, magnitudes, gradScale }) => {
        const gradients = lengths.map((length, i) =>
          (magnitudes === "near" ? ordinary : anyMagnitude)(length, seed + i),
        );
        const expected = normOf(gradients, gradScale);
        const inOrder = Math.sqrt(gradients.reduce((sum, g) => g.reduce((s, x) => s + x * x, sum), 0)) / gradScale;
        if (inOrder !== expected) rounded += 1;
        const tensors = lengths.map((length) => new Float32Array(length));
        const pieces = lengths.map((length) => [length]);
        const params = [];
        for (const memory of ["arena", "scattered", "adjacent"] as const) {
          for (const kernel of ["simd", "scalar"] as const) {
            const options = { kernel, memory, groups: seed % 2 ? "one" : "each", pieces, seed } as const;
            const layout = new Layout(`${memory}, ${kernel}`, "adamw", tensors, {}, options);
            gradients.forEach((values, i) => {
              layout.setGrad(i, values);
            });
            const result = layout.optimizer.step({ clipNorm: expected / 3, gradScale });
            expect(result, layout.label).toEqual({ step: 1, skipped: false, gradNorm: expected });
            params.push([layout.label, layout.param(0)] as const);
          }
        }
        for (const [label, values] of params) expectSameBits(label, values, params[0]![1]);
      }),
      runs(40),
    );
    // The order of summation shows, or another order would pass as well.
    expect(rounded).toBeGreaterThan(15);
  });

  it("leaves out skipped tensors, and is their norm alone that remain", () => {
    const gradients = [ordinary(50, 1), ordinary(70, 2), ordinary(20, 3)];
    const lengths = gradients.map(({ length }) => length);
    for (const memory of ["arena", "scattered", "adjacent"] as const) {
      for (const kernel of ["simd", "scalar"] as const) {
        const options = { kernel, memory, groups: "one", pieces: lengths.map((n) => [n]), seed: 1 } as const;
        const tensors = lengths.map((length) => new Float32Array(length));
        const layout = new Layout(`${memory}, ${kernel}`, "adamw", tensors, {}, options);
        gradients.forEach((values, i) => {
          layout.setGrad(i, i === 1 ? values.map(() => NaN) : values);
        });
        const { gradNorm } = layout.optimizer.step({ skipNonFinite: true, skip: layout.names([1]) });
        expect(gradNorm, layout.label).toBe(normOf([gradients[0]!, gradients[2]!], 1));
      }
    }
  });
});
