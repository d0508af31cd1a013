/** `fused-adam/schedules`: values against their formulas, at the boundaries and between, and what they refuse. */
import { AdamW } from "fused-adam";
import { chain, constant, cosine, linear, linearWarmup, type Schedule, warmupStableDecay } from "fused-adam/schedules";
import { describe, expect, it } from "vitest";
import { caught, type Expected, expectError, polluted, rangeError, typeError, wrong } from "./support/api.js";
import { exactCosine } from "./support/exactCosine.js";
import { dyadic, Model } from "./support/model.js";

const at = (schedule: Schedule, ...steps: number[]) => steps.map((step) => schedule(step));
const LAST = Number.MAX_SAFE_INTEGER;

describe("values", () => {
  it("constant", () => {
    expect(at(constant(0.25), 1, 2, 1000, LAST)).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(constant(0)(1)).toBe(0);
  });

  it("linear: from + (to - from) · t / steps, then to", () => {
    expect(at(linear({ from: 1, to: 3, steps: 4 }), 1, 2, 3, 4, 5, LAST)).toEqual([1.5, 2, 2.5, 3, 3, 3]);
    expect(at(linear({ from: 1, to: 0, steps: 8 }), 1, 7, 8, 9)).toEqual([0.875, 0.125, 0, 0]);
    expect(at(linear({ from: 5, to: 2, steps: 1 }), 1, 2)).toEqual([2, 2]);
    // The end is met exactly: 1 + (1e-20 - 1) would be 0.
    expect(at(linear({ from: 1, to: 1e-20, steps: 2 }), 2, 3)).toEqual([1e-20, 1e-20]);
    const ends = linear({ from: 0.1, to: 0.3, steps: 3 });
    expect(ends(3)).toBe(0.3);
    expect(ends(1)).toBeCloseTo(0.1 + 0.2 / 3, 15);
    for (let step = 1; step < 3; step++) expect(ends(step + 1)).toBeGreaterThan(ends(step));
  });

  it("linearWarmup: lr · t / steps, then lr", () => {
    expect(at(linearWarmup({ lr: 1, steps: 4 }), 1, 2, 3, 4, 5, LAST)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(at(linearWarmup({ lr: 2, steps: 2, from: 1 }), 1, 2, 3)).toEqual([1.5, 2, 2]);
    expect(at(linearWarmup({ lr: 2, steps: 2, from: wrong(undefined) }), 1, 2)).toEqual([1, 2]);
  });

  it("cosine: min + (lr - min) · (1 + cos(π t / steps)) / 2, then min", () => {
    const schedule = cosine({ lr: 1, steps: 100, min: 0.5 });
    expect(schedule(50)).toBeCloseTo(0.75, 15);
    expect(schedule(25)).toBeCloseTo(0.5 + 0.25 * (1 + Math.SQRT1_2), 15);
    expect(at(schedule, 100, 101, LAST)).toEqual([0.5, 0.5, 0.5]);
    expect(at(cosine({ lr: 1, steps: 10 }), 10, 11)).toEqual([0, 0]);
    expect(cosine({ lr: 1, steps: 3 })(1)).toBeCloseTo(0.75, 15);
    expect(cosine({ lr: 3, steps: 1 })(1)).toBe(0);
    for (let step = 1; step < 100; step++) expect(schedule(step + 1)).toBeLessThan(schedule(step));
  });

  it("lr 2's cosine is within 2^-51 of the exact one: 9 lengths, up to 500 steps of each", () => {
    for (const steps of [1, 2, 3, 4, 7, 100, 977, 123457, LAST]) {
      const schedule = cosine({ lr: 2, steps });
      for (let i = 1; i < Math.min(steps, 500); i++) {
        const step = steps <= 500 ? i : Math.floor((steps / 500) * i);
        expect(Math.abs(schedule(step) - 1 - exactCosine(step, steps)), `${step} of ${steps}`).toBeLessThan(2 ** -51);
      }
    }
  });

  it("warmupStableDecay: up, flat, down, each as long as asked", () => {
    const schedule = warmupStableDecay({ lr: 1, warmup: 2, stable: 3, decay: 4 });
    expect(at(schedule, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, LAST)).toEqual([0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0]);
    const floor = warmupStableDecay({ lr: 4, warmup: 1, stable: 0, decay: 2, min: 2 });
    expect(at(floor, 1, 2, 3, 4)).toEqual([4, 3, 2, 2]);
  });

  it("chain: each part sees its own 1, 2, …; the last runs on", () => {
    const seen = (name: string) => (step: number) => Number(`${name}${step}`);
    const schedule = chain([[seen("10"), 2], [seen("20"), 3], [seen("30")]]);
    expect(at(schedule, 1, 2, 3, 4, 5, 6, 7, 106)).toEqual([101, 102, 201, 202, 203, 301, 302, 30101]);
    // A part of no steps is passed over, wherever it stands.
    expect(at(chain([[seen("10"), 0], [seen("20"), 1], [seen("30"), 0], [seen("40")]]), 1, 2)).toEqual([201, 401]);
    expect(at(chain([[seen("10")]]), 1, 9)).toEqual([101, 109]);
    // A number for the last is allowed, and does not end it.
    expect(
      at(
        chain([
          [seen("10"), 1],
          [seen("20"), 1],
        ]),
        1,
        2,
        3,
      ),
    ).toEqual([101, 201, 202]);
  });

  it("chains of chains", () => {
    const inner = chain([[constant(1), 1], [linear({ from: 0, to: 1, steps: 4 })]]);
    expect(at(chain([[inner, 3], [inner]]), 1, 2, 3, 4, 5, 6)).toEqual([1, 0.25, 0.5, 1, 0.25, 0.5]);
  });

  it("are pure: asked in any order, and after their options changed, they say the same", () => {
    const options = { lr: 1, warmup: 2, stable: 3, decay: 4 };
    const parts: [Schedule, number][] = [
      [constant(1), 2],
      [constant(2), 2],
    ];
    const [schedule, chained] = [warmupStableDecay(options), chain(parts)];
    const before = [9, 1, 5].map((step) => [schedule(step), chained(step)]);
    Object.assign(options, { lr: 9, warmup: 9, stable: 9, decay: 9 });
    parts[0]![1] = 100;
    parts.pop();
    expect([9, 1, 5].map((step) => [schedule(step), chained(step)])).toEqual(before);
    expect(before).toEqual([
      [0, 2],
      [0.5, 1],
      [1, 2],
    ]);
  });
});

describe("in an optimizer", () => {
  it("decide the rate of every step, and resume from the step alone", () => {
    const params = { w: dyadic(17, 1) };
    const lr = chain([[linearWarmup({ lr: 0.5, steps: 4 }), 4], [cosine({ lr: 0.5, steps: 8, min: 0.125 })]]);
    const expected = (t: number) => {
      if (t <= 4) return t === 4 ? 0.5 : 0.5 * (t / 4);
      return t >= 12 ? 0.125 : 0.125 + 0.375 * 0.5 * (1 + exactCosine(t - 4, 8));
    };
    const optimizer = AdamW.createSync(params, { lr });
    const model = new Model("adamw", params, { lr: expected });
    const rates: number[] = [];
    for (let step = 0; step < 14; step++) {
      if (step === 7) {
        const copy = AdamW.createSync(params, { lr });
        copy.loadStateDict(optimizer.stateDict());
        optimizer.loadStateDict(copy.stateDict());
      }
      model.fillGrads(optimizer, step);
      expect(optimizer.step()).toEqual(model.step());
      rates.push(optimizer.stateDict().param_groups[0]!.lr);
    }
    expect(rates).toEqual(Array.from({ length: 14 }, (_, i) => expected(i + 1)));
    model.expectSame(optimizer);
  });
});

describe("what is refused", () => {
  type Make = (value: unknown) => unknown;
  const AMOUNTS: [of: string, label: string, make: Make][] = [
    ["constant", "lr", (lr) => constant(wrong(lr))],
    ["linear", "from", (from) => linear(wrong({ from, to: 1, steps: 2 }))],
    ["linear", "to", (to) => linear(wrong({ from: 1, to, steps: 2 }))],
    ["linearWarmup", "lr", (lr) => linearWarmup(wrong({ lr, steps: 2 }))],
    ["linearWarmup", "from", (from) => linearWarmup(wrong({ lr: 1, steps: 2, from }))],
    ["cosine", "lr", (lr) => cosine(wrong({ lr, steps: 2 }))],
    ["cosine", "min", (min) => cosine(wrong({ lr: 1, steps: 2, min }))],
    ["warmupStableDecay", "lr", (lr) => warmupStableDecay(wrong({ lr, warmup: 1, stable: 1, decay: 1 }))],
    ["warmupStableDecay", "min", (min) => warmupStableDecay(wrong({ lr: 1, warmup: 1, stable: 1, decay: 1, min }))],
  ];
  it.each(AMOUNTS)("%s: %s that is no rate", async (_, label, make) => {
    for (const value of [NaN, Infinity, -Infinity, -1, -5e-324]) {
      expectError(await caught(() => make(value)), rangeError(label), String(value));
    }
    for (const value of ["1", null, true, 1n, [1], {}, () => 1]) {
      expectError(await caught(() => make(value)), typeError(label), String(value));
    }
  });

  const COUNTS: [of: string, label: string, least: number, make: Make][] = [
    ["linear", "steps", 0, (steps) => linear(wrong({ from: 1, to: 1, steps }))],
    ["linearWarmup", "steps", 0, (steps) => linearWarmup(wrong({ lr: 1, steps }))],
    ["cosine", "steps", 0, (steps) => cosine(wrong({ lr: 1, steps }))],
    ["warmupStableDecay", "warmup", 0, (warmup) => warmupStableDecay(wrong({ lr: 1, warmup, stable: 1, decay: 1 }))],
    ["warmupStableDecay", "stable", 0, (stable) => warmupStableDecay(wrong({ lr: 1, warmup: 1, stable, decay: 1 }))],
    ["warmupStableDecay", "decay", 0, (decay) => warmupStableDecay(wrong({ lr: 1, warmup: 1, stable: 1, decay }))],
    ["chain", "parts[0][1]", 0, (steps) => chain(wrong([[constant(1), steps], [constant(1)]]))],
    ["chain", "parts[1][1]", 0, (steps) => chain(wrong([[constant(1), 1], [constant(1), steps], [constant(1)]]))],
  ];
  it.each(COUNTS)("%s: %s that is no count from %d on", async (_, label, least, make) => {
    for (const value of [least - 1, 1.5, NaN, Infinity, 2 ** 53]) {
      expectError(await caught(() => make(value)), rangeError(label), String(value));
    }
    for (const value of ["1", null, undefined, true, 1n, [1], {}]) {
      expectError(await caught(() => make(value)), typeError(label), String(value));
    }
  });

  it("0 steps: the end is where it begins", () => {
    const all = [
      linear({ from: 1, to: 0.25, steps: 0 }),
      linearWarmup({ lr: 0.25, steps: 0 }),
      cosine({ lr: 1, steps: 0, min: 0.25 }),
      warmupStableDecay({ lr: 1, warmup: 0, stable: 0, decay: 0, min: 0.25 }),
    ];
    for (const schedule of all) expect([1, 2, 1000].map(schedule)).toEqual([0.25, 0.25, 0.25]);
  });

  const OTHERS: [what: string, make: () => unknown, expected: Expected][] = [
    ["a misspelling", () => cosine(wrong({ lr: 1, step: 5 })), typeError("options", "ERR_UNKNOWN_OPTION")],
    [
      "another's option",
      () => linearWarmup(wrong({ lr: 1, steps: 1, min: 0 })),
      typeError("options", "ERR_UNKNOWN_OPTION"),
    ],
    ["no options", () => linear(wrong(undefined)), typeError("options")],
    ["null", () => warmupStableDecay(wrong(null)), typeError("options")],
    ["an array", () => cosine(wrong([1, 2])), typeError("options")],
    ["inherited options", () => cosine(Object.create({ lr: 1, steps: 2 })), typeError("lr")],
    ["no parts", () => chain([]), rangeError("parts")],
    ["parts that are none", () => chain(wrong({ 0: [constant(1)], length: 1 })), typeError("parts")],
    ["a part without brackets", () => chain(wrong([constant(1)])), typeError("parts[0]")],
    ["a hole", () => chain(wrong(new Array(1))), typeError("parts[0]")],
    ["a rate for a schedule", () => chain(wrong([[constant(1), 1], [0.5]])), typeError("parts[1][0]")],
  ];
  it.each(OTHERS)("%s", async (_, make, expected) => expectError(await caught(make), expected));

  it("a polluted Object.prototype gives no options", async () => {
    await polluted({ from: 5, min: 5, steps: 5 }, () => {
      const rates = [linearWarmup({ lr: 1, steps: 2 })(1), cosine({ lr: 1, steps: 2 })(2)];
      expect(rates).toEqual([0.5, 0]);
    });
  });
});
