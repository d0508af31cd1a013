/** Step options and results, zeroGrad, stepAsync and dispose, against the float32 reference bit for bit. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Adam, AdamW, type StepOptions } from "fused-adam";
import { describe, expect, it } from "vitest";
import { FLUSH_EVERY } from "../reference.js";
import { DISPOSE, expectSamePrint, fingerprint } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";
import { normOf } from "../support/norm.js";

const NONE_FINITE = [NaN, Infinity, -Infinity];

/** Not dyadic: rounding shows in what order squares are added. */
function uneven(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(10 * seed + i + 1));
}

describe.each(["simd", "scalar"] as const)("%s", (kernel) => {
  const params = () => ({ a: dyadic(21, 1), b: dyadic(3, 2), c: dyadic(16, 3) });
  const both = (lengths: Record<string, Float32Array> = params()) => {
    const options = { lr: 0.01, weightDecay: 0.25 };
    const optimizer = AdamW.createSync(lengths, { ...options, kernel });
    return { optimizer, model: new Model("adamw", lengths, options) };
  };

  function step(optimizer: Optimizer, model: Model, options: StepOptions, context = ""): void {
    expect(optimizer.step(options), context).toStrictEqual(model.step(options));
    model.expectSame(optimizer, context);
  }

  /** 3, 4 and 12: a norm of 13. */
  const norm13 = (optimizer: Optimizer, model: Model) => {
    for (const name of optimizer.names) model.setGrad(optimizer, name, 0);
    for (const [name, i, value] of [
      ["a", 20, 3],
      ["b", 0, -4],
      ["c", 15, 12],
    ] as const) {
      for (const grad of [optimizer.grad(name), model.at(name).grad]) grad[i] = value;
    }
  };

  describe("clipNorm", () => {
    it.each([0, 5e-324, 1e-30, 1, 6.5, 12.999999, 13, 13.000001, 1e300])("%d", (clipNorm) => {
      const { optimizer, model } = both();
      for (let i = 0; i < 3; i++) {
        norm13(optimizer, model);
        expect(optimizer.step({ clipNorm })).toStrictEqual({ step: i + 1, skipped: false, gradNorm: 13 });
        model.step({ clipNorm });
        model.expectSame(optimizer);
      }
    });

    it("leaves the gradients themselves alone", () => {
      const { optimizer, model } = both();
      norm13(optimizer, model);
      optimizer.step({ clipNorm: 1 });
      expect([optimizer.grad("a")[20], optimizer.grad("b")[0], optimizer.grad("c")[15]]).toEqual([3, -4, 12]);
    });

    it("of a zero gradient does nothing, 0 / 0 included", () => {
      for (const clipNorm of [0, 1]) {
        const { optimizer, model } = both();
        for (const name of optimizer.names) model.setGrad(optimizer, name, 0);
        step(optimizer, model, { clipNorm });
        expect(optimizer.step({ clipNorm }).gradNorm).toBe(0);
        expect(optimizer.param("a").some(Number.isNaN)).toBe(false);
      }
    });

    it("squares neither overflow nor underflow", () => {
      for (const value of [3e38, 1e-45, 1e-30, 1e25]) {
        const { optimizer, model } = both({ a: dyadic(4, 1) });
        model.setGrad(optimizer, "a", value);
        const { gradNorm } = optimizer.step({ clipNorm: 1e-46 });
        // Four equal values: the norm is twice one of them.
        expect(gradNorm).toBe(2 * Math.fround(value));
        model.step({ clipNorm: 1e-46 });
        model.expectSame(optimizer, String(value));
      }
    });

    it("over many elements, within 1e-14 of the norm", () => {
      const values = Float32Array.from({ length: 100003 }, (_, i) => Math.sin(i) * 10 ** (i % 9));
      const optimizer = AdamW.createSync({ w: values, v: { shape: [7] } }, { kernel });
      optimizer.grad("w").set(values);
      optimizer.grad("v").fill(-5);
      // Squares of float32 are whole multiples of 2^-298, and these of 2^-200: an integer sum is exact.
      const sum = [...values, ...optimizer.grad("v")].reduce((total, x) => total + BigInt(x * x * 2 ** 200), 0n);
      const expected = Math.sqrt(Number(sum)) / 2 ** 100;
      expect(Math.abs(optimizer.step({ clipNorm: 1 }).gradNorm! / expected - 1)).toBeLessThan(1e-14);
    });
  });

  describe("gradScale", () => {
    it.each([1, 2, 3, 65536, 1e-3, 1e-30, 1e30, 1e-45, 5e-324, 1.7e308])("%d", (gradScale) => {
      for (const clipNorm of [undefined, 0.5, 1e9]) {
        const { optimizer, model } = both();
        norm13(optimizer, model);
        step(optimizer, model, clipNorm === undefined ? { gradScale } : { gradScale, clipNorm }, `clip ${clipNorm}`);
      }
    });

    it("the norm, and what it is clipped to, are those of the true gradient", () => {
      const [scaled, plain] = [both(), both()];
      norm13(scaled.optimizer, scaled.model);
      for (const name of scaled.optimizer.names)
        scaled.optimizer.grad(name).set(scaled.optimizer.grad(name).map((g) => 1024 * g));
      norm13(plain.optimizer, plain.model);
      const result = scaled.optimizer.step({ gradScale: 1024, clipNorm: 2 });
      expect(result).toStrictEqual({ step: 1, skipped: false, gradNorm: 13 });
      plain.model.step({ clipNorm: 2 });
      for (const name of scaled.optimizer.names) plain.model.at(name).grad.set(scaled.optimizer.grad(name));
      plain.model.expectSame(scaled.optimizer);
    });
  });

  describe("gradNorm", () => {
    it.each([0, 5e-324, 1, 6.5, 13, 26, 1e300])("%d is taken for the norm, whatever the gradients say", (gradNorm) => {
      for (const options of [
        { clipNorm: 2 },
        { clipNorm: 0 },
        { clipNorm: 2, gradScale: 3 },
        { skipNonFinite: true },
      ]) {
        const { optimizer, model } = both();
        norm13(optimizer, model);
        step(optimizer, model, { ...options, gradNorm }, JSON.stringify(options));
        expect(optimizer.step({ ...options, gradNorm }).gradNorm).toBe(gradNorm);
      }
    });

    it.each([NaN, Infinity])("%d skips a step that clips or skips, and no other, zeroGrad as ever", (gradNorm) => {
      for (const options of [{ clipNorm: 2 }, { skipNonFinite: true }, { clipNorm: 1, zeroGrad: true }]) {
        const { optimizer, model } = both();
        model.fillGrads(optimizer, 1);
        step(optimizer, model, { ...options, gradNorm }, JSON.stringify(options));
        expect(optimizer.step({ ...options, gradNorm })).toStrictEqual({ step: 0, skipped: true, gradNorm });
      }
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      step(optimizer, model, { gradNorm });
      expect(optimizer.step({ gradNorm })).toStrictEqual({ step: 2, skipped: false });
    });

    it("finite, it is believed: a gradient that is not does no harm to other elements", () => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      for (const grad of [optimizer.grad("a"), model.at("a").grad]) grad[3] = Infinity;
      step(optimizer, model, { skipNonFinite: true, clipNorm: 1, gradNorm: 2 });
    });

    it("two optimizers, each with a part and given the root of their sums: the bits of one with all and that norm, 40 steps", async () => {
      const values = params();
      const options = { lr: 0.01, weightDecay: 0.25, kernel };
      const whole = AdamW.createSync(values, options);
      const parts = [{ a: values.a }, { b: values.b, c: values.c }].map((part) => AdamW.createSync(part, options));
      for (let n = 0; n < 40; n++) {
        for (const name of whole.names) {
          const grad = uneven(whole.grad(name).length, n);
          if (n === 20 && name === "c") grad[7] = NaN;
          for (const optimizer of [whole, ...parts]) if (optimizer.names.includes(name)) optimizer.setGrad(name, grad);
        }
        const of = (optimizer: Optimizer) => ({
          gradScale: 2 ** (n % 5),
          skip: n % 4 === 3 ? optimizer.names.filter((name) => name === "b") : [],
        });
        const sum = parts.reduce((total, part) => total + part.sumOfSquares(of(part)), 0);
        const rest = { clipNorm: 0.5, gradNorm: Math.sqrt(sum), zeroGrad: n % 2 === 0 };
        const expected = whole.step({ ...of(whole), ...rest });
        expect(expected.skipped).toBe(n === 20);
        for (const part of parts) {
          const asked = { ...of(part), ...rest };
          expect(n % 3 ? part.step(asked) : await part.stepAsync(asked)).toStrictEqual(expected);
          for (const name of part.names) {
            expectSameBits(`${n} param ${name}`, part.param(name), whole.param(name));
            expectSameBits(`${n} grad ${name}`, part.grad(name), whole.grad(name));
          }
        }
      }
      const [state, ...others] = [whole, ...parts].map((optimizer) => optimizer.stateDict().state);
      expect(Object.assign({}, ...others)).toEqual(state);
    });
  });

  describe("sumOfSquares", () => {
    it("is the square of the norm that clipNorm takes, bit for bit where the scale is a power of two, in blocks of 4,096", () => {
      const lengths = { a: 4097, b: 1, c: 12289, d: 0 };
      const optimizer = AdamW.createSync(
        Object.fromEntries(Object.entries(lengths).map(([name, length]) => [name, { shape: [length] }])),
        { kernel },
      );
      const grads = Object.entries(lengths).map(([name, length], i) => {
        const grad = uneven(length, i);
        optimizer.setGrad(name, grad);
        return grad;
      });
      for (const gradScale of [1, 2, 0.125, 2 ** 600, 2 ** -600]) {
        const sum = optimizer.sumOfSquares({ gradScale });
        const { gradNorm } = optimizer.step({ clipNorm: 1, gradScale });
        expect(gradNorm).toBe(normOf(grads, gradScale));
        // Beyond what a float64 holds of squares, though not of roots.
        if (gradScale === 2 ** 600) expect(sum).toBe(0);
        else if (gradScale === 2 ** -600) expect(sum).toBe(Infinity);
        else expect(Math.sqrt(sum)).toBe(gradNorm);
      }
      expect(Math.sqrt(optimizer.sumOfSquares())).toBe(normOf(grads, 1));
      expect(Math.sqrt(optimizer.sumOfSquares({ skip: ["a", "d"] }))).toBe(normOf([grads[1]!, grads[2]!], 1));
      expect(optimizer.sumOfSquares({ skip: optimizer.names })).toBe(0);
      expect(optimizer.sumOfSquares({ gradScale: 3 }) / optimizer.sumOfSquares()).toBeCloseTo(1 / 9, 15);
    });

    it("changes nothing, and is not finite where a gradient is not", () => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      const before = fingerprint(optimizer);
      // Dyadic: no order of summation rounds.
      const expected = optimizer.names.flatMap((name) => [...optimizer.grad(name)]).reduce((sum, g) => sum + g * g, 0);
      expect(optimizer.sumOfSquares()).toBe(expected);
      expectSamePrint(fingerprint(optimizer), before);
      step(optimizer, model, {});
      for (const value of NONE_FINITE) {
        optimizer.grad("c")[15] = value;
        expect(optimizer.sumOfSquares()).toBe(value * value);
        expect(Number.isFinite(optimizer.sumOfSquares({ skip: ["c"] }))).toBe(true);
      }
    });
  });

  describe("gradients that are not finite", () => {
    // Before, at and behind where a row of vectors ends and padding begins.
    const PLACES = [
      ["a", 0],
      ["a", 15],
      ["a", 16],
      ["a", 20],
      ["b", 2],
      ["c", 0],
      ["c", 15],
    ] as const;
    it.each(NONE_FINITE)("%d anywhere skips the step: nothing changes, nothing is counted", (value) => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      step(optimizer, model, { skipNonFinite: true });
      for (const [name, i] of PLACES) {
        for (const options of [{ skipNonFinite: true }, { clipNorm: 1 }, { clipNorm: 0, skipNonFinite: true }]) {
          model.fillGrads(optimizer, i);
          for (const grad of [optimizer.grad(name), model.at(name).grad]) grad[i] = value;
          const before = fingerprint(optimizer);
          const result = optimizer.step(options);
          expect(result).toStrictEqual({ step: 1, skipped: true, gradNorm: Math.abs(value) });
          expectSamePrint(fingerprint(optimizer), before);
        }
      }
      model.fillGrads(optimizer, 2);
      step(optimizer, model, { skipNonFinite: true });
    });

    it("of opposite sign do not cancel", () => {
      const { optimizer } = both();
      optimizer.grad("a").set([Infinity, -Infinity]);
      expect(optimizer.step({ skipNonFinite: true })).toMatchObject({ step: 0, skipped: true });
    });

    it("do no harm to other elements where nobody asked to skip", () => {
      for (const value of NONE_FINITE) {
        for (const [name, i] of PLACES) {
          const { optimizer, model } = both();
          model.fillGrads(optimizer, i);
          for (const grad of [optimizer.grad(name), model.at(name).grad]) grad[i] = value;
          step(optimizer, model, {});
          step(optimizer, model, {});
          const broken = optimizer.names.flatMap((other) =>
            Array.from(optimizer.param(other), (x, at) => (Number.isFinite(x) ? [] : [`${other}${at}`])).flat(),
          );
          expect(broken).toEqual([`${name}${i}`]);
        }
      }
    });

    it("of a parameter that is left out count for nothing", () => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      model.setGrad(optimizer, "b", NaN);
      step(optimizer, model, { skip: ["b"], skipNonFinite: true, clipNorm: 1 });
    });

    it("are no matter of size: the largest float32 everywhere is finite", () => {
      const { optimizer, model } = both({ a: dyadic(16, 1) });
      model.setGrad(optimizer, "a", 3.4028234663852886e38);
      step(optimizer, model, { skipNonFinite: true });
      expect(optimizer.stateDict().state.a!.step).toBe(1);
    });
  });

  describe("zeroGrad", () => {
    const allZero = (optimizer: Optimizer) =>
      optimizer.names.every((name) => optimizer.grad(name).every((g) => Object.is(g, 0)));

    it("leaves +0 behind a step, the step itself being as without", () => {
      const { optimizer, model } = both();
      for (const options of [{ zeroGrad: true }, { zeroGrad: true, clipNorm: 1, gradScale: 3 }]) {
        for (let i = 0; i <= FLUSH_EVERY; i++) {
          model.fillGrads(optimizer, i);
          step(optimizer, model, options);
          expect(allZero(optimizer)).toBe(true);
        }
      }
    });

    it("also behind a skipped step, and of parameters that were left out, NaN or not", () => {
      const { optimizer, model } = both();
      for (const options of [
        { zeroGrad: true, skipNonFinite: true },
        { zeroGrad: true, clipNorm: 1 },
        { zeroGrad: true, skip: ["a"] },
        { zeroGrad: true, skip: ["a", "b", "c"] },
        { zeroGrad: true, skip: ["b"], skipNonFinite: true },
      ]) {
        model.fillGrads(optimizer, 1);
        for (const grad of [optimizer.grad("a"), model.at("a").grad]) grad[7] = NaN;
        step(optimizer, model, options, JSON.stringify(options));
        expect(allZero(optimizer)).toBe(true);
      }
    });

    it("the method does that alone", () => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      step(optimizer, model, {});
      optimizer.grad("b")[1] = NaN;
      optimizer.zeroGrad();
      for (const name of optimizer.names) model.at(name).grad.fill(0);
      expect(allZero(optimizer)).toBe(true);
      model.expectSame(optimizer);
      model.fillGrads(optimizer, 2);
      step(optimizer, model, {});
    });
  });

  describe("skip", () => {
    it("leaves parameters, moments and step counts; each goes on with its own bias correction", () => {
      const { optimizer, model } = both();
      const LEFT_OUT = [["a"], ["b"], ["a", "c"], [], ["b", "b"], ["c"], ["a", "b", "c"], ["a", "b"], []];
      for (let round = 0; round < 3; round++) {
        for (const [i, names] of LEFT_OUT.entries()) {
          model.fillGrads(optimizer, 10 * round + i);
          // Any iterable will do.
          const skip = round === 0 ? names : round === 1 ? new Set(names) : names.values();
          expect(optimizer.step({ skip })).toStrictEqual(model.step({ skip: names }));
          model.expectSame(optimizer, `${round}/${i}`);
        }
      }
      const steps = Object.entries(optimizer.stateDict().state).map(([name, entry]) => [name, entry.step]);
      expect(Object.fromEntries(steps)).toEqual({ a: 15, b: 15, c: 18 });
    });

    it("of everything is a step in which nothing happens", () => {
      const { optimizer, model } = both();
      model.fillGrads(optimizer, 1);
      step(optimizer, model, {});
      model.setGrad(optimizer, "a", NaN);
      const skip = ["a", "b", "c"];
      expect(optimizer.step({ skip })).toStrictEqual({ step: 1, skipped: false });
      expect(optimizer.step({ skip, clipNorm: 1 })).toStrictEqual({ step: 1, skipped: false, gradNorm: 0 });
      model.expectSame(optimizer);
    });

    it("step is the largest count of any parameter, also of one left out", () => {
      const { optimizer } = both();
      for (const expected of [1, 2, 3]) expect(optimizer.step({ skip: ["b", "c"] }).step).toBe(expected);
      expect(optimizer.step({ skip: ["a"] }).step).toBe(3);
      expect(optimizer.step({ skip: ["a", "b"] }).step).toBe(3);
      expect(optimizer.step().step).toBe(4);
    });

    it("step is that of all groups, whichever is furthest", () => {
      const groups = [{ params: { a: dyadic(5, 1) } }, { params: { b: dyadic(3, 2) } }];
      const optimizer = AdamW.createSync(groups, { kernel });
      optimizer.step({ skip: ["b"] });
      expect(optimizer.step({ skip: ["b"] })).toStrictEqual({ step: 2, skipped: false });
      expect(optimizer.step({ skip: ["a"] })).toStrictEqual({ step: 2, skipped: false });
      optimizer.grad("a")[0] = NaN;
      expect(optimizer.step({ skipNonFinite: true })).toStrictEqual({ step: 2, skipped: true, gradNorm: NaN });
    });

    it("out of the norm: what is left out is no part of the step", () => {
      const { optimizer, model } = both();
      norm13(optimizer, model);
      expect(optimizer.step({ skip: ["c"], clipNorm: 1 }).gradNorm).toBe(5);
      model.step({ skip: ["c"], clipNorm: 1 });
      model.expectSame(optimizer);
    });
  });

  it("stepAsync resolves with what step returns, and leaves what step leaves", async () => {
    const { optimizer, model } = both();
    for (const options of [undefined, {}, { clipNorm: 1 }, { skip: ["a"], zeroGrad: true }]) {
      model.fillGrads(optimizer, 1);
      const promise = optimizer.stepAsync(options);
      expect(promise).toBeInstanceOf(Promise);
      expect(await promise).toStrictEqual(model.step(options));
      model.expectSame(optimizer);
    }
  });

  it("padding stays zero, whatever the hyper-parameters", () => {
    for (const options of [
      { eps: 0 },
      { lr: 1e300 },
      { lr: 1e300, eps: 0, amsgrad: true, weightDecay: 1e10 },
      { eps: 1e300 },
      { lr: 8, weightDecay: 4, maximize: true },
      { weightDecay: 1e300 },
      { betas: [0, 0] as const, eps: 0 },
    ]) {
      for (const Class of [Adam, AdamW]) {
        const groups = [
          { params: { a: dyadic(5, 1), b: dyadic(16, 2), c: dyadic(0, 1), d: dyadic(17, 3) } },
          { params: [dyadic(1, 1)] },
        ];
        const optimizer = Class.createSync(groups, { ...options, kernel });
        for (let i = 0; i <= FLUSH_EVERY; i++) {
          for (const name of optimizer.names) optimizer.grad(name).set(dyadic(optimizer.grad(name).length, i));
          if (i === 10) optimizer.grad("a")[4] = NaN;
          optimizer.step([{}, { gradScale: 1e-300 }, { clipNorm: 1e-300 }, { zeroGrad: true, skip: ["b"] }][i % 4]);
        }
        expect(strays(optimizer), `${Class.name} ${JSON.stringify(options)}`).toEqual([]);
      }
    }
  });
});

/** Offsets of what is not zero and lies in no tensor's param, grad, expAvg, expAvgSq or maxExpAvgSq. */
function strays(optimizer: Optimizer): number[] {
  const all = new Float32Array(optimizer.memory.buffer.slice(0));
  for (const group of optimizer.paramGroups) {
    for (const name of group.params) {
      const { byteOffset, length } = optimizer.param(name);
      const stride = optimizer.grad(name).byteOffset - byteOffset;
      for (let region = 0; region < (group.amsgrad ? 5 : 4); region++) {
        const start = (byteOffset + region * stride) / 4;
        all.fill(0, start, start + length);
      }
    }
  }
  return Array.from(all.keys()).filter((i) => all[i] !== 0);
}

describe("dispose", () => {
  it("may be called again, and is what `using` calls", () => {
    let kept: Optimizer | undefined;
    {
      using optimizer = AdamW.createSync([dyadic(3, 1)]);
      kept = optimizer;
      expect(optimizer.step().step).toBe(1);
    }
    expect(() => kept.step()).toThrow(/dispos/);
    expect(kept.dispose()).toBe(undefined);
    expect(kept[DISPOSE]()).toBe(undefined);
  });

  it("lets go of the memory, though the optimizer itself is still there", async () => {
    const optimizer = AdamW.createSync([dyadic(3, 1)]);
    const memory = new WeakRef(optimizer.memory);
    optimizer.step();
    optimizer.dispose();
    await collectGarbage();
    expect(memory.deref()).toBe(undefined);
    expect(optimizer.names).toEqual(["0"]);
  });

  it("the values an optimizer was made from are not kept for its lifetime", async () => {
    const values = new WeakRef(dyadic(100000, 1));
    const optimizer = AdamW.createSync({ w: values.deref()! });
    await collectGarbage();
    expect(values.deref()?.length).toBe(undefined);
    expect(optimizer.param("w").length).toBe(100000);
  });
});

async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) {
    // A WeakRef holds on until the task in which it was made, or read, ends.
    await new Promise((resolve) => setTimeout(resolve, 0));
    gc();
  }
}
