/** `fused-adam/schedules`: values against their formulas, at the boundaries and between, and what they refuse. */
import { AdamW } from "fused-adam";
import {
  chain,
  constant,
  cosine,
  cosineWarmRestarts,
  cyclic,
  exponential,
  linear,
  linearWarmup,
  multiStepDecay,
  oneCycle,
  polynomial,
  type Schedule,
  stepDecay,
  warmupStableDecay,
} from "fused-adam/schedules";
import { describe, expect, it } from "vitest";
import { power } from "../../src/schedules/power.js";
import { digestOf } from "../everywhere/digests.js";
import { caught, type Expected, expectError, polluted, rangeError, typeError, wrong } from "../support/api.js";
import { bigPower } from "../support/bigPower.js";
import { exactCosine } from "../support/exactCosine.js";
import { dyadic, Model } from "../support/model.js";

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

  it("stepDecay: lr · gamma^k, k the number of whole stepSizes before step t", () => {
    const schedule = stepDecay({ lr: 8, stepSize: 3, gamma: 0.5 });
    expect(at(schedule, 1, 2, 3, 4, 6, 7, 10, LAST)).toEqual([8, 8, 8, 4, 4, 2, 1, 0]);
    expect(at(stepDecay({ lr: 8, stepSize: 1, gamma: 0 }), 1, 2, 3)).toEqual([8, 0, 0]);
    expect(stepDecay({ lr: 1, stepSize: 2 })(3)).toBe(0.1);
  });

  it("multiStepDecay: lr · gamma for each milestone before step t", () => {
    const schedule = multiStepDecay({ lr: 8, milestones: [5, 2, 5], gamma: 0.5 });
    expect(at(schedule, 1, 2, 3, 5, 6, LAST)).toEqual([8, 8, 4, 4, 1, 1]);
    expect(at(multiStepDecay({ lr: 1, milestones: [0] }), 1, 2)).toEqual([0.1, 0.1]);
    expect(at(multiStepDecay({ lr: 1, milestones: [] }), 1, LAST)).toEqual([1, 1]);
  });

  it("exponential: lr · gamma^(t - 1)", () => {
    expect(at(exponential({ lr: 3, gamma: 0.5 }), 1, 2, 3, 11)).toEqual([3, 1.5, 0.75, 3 / 1024]);
    expect(at(exponential({ lr: 3, gamma: 1 }), 1, LAST)).toEqual([3, 3]);
    expect(at(exponential({ lr: 3, gamma: 2 }), 1, 5, LAST)).toEqual([3, 48, Infinity]);
  });

  it("polynomial: min + (lr - min) · (1 - (t - 1) / steps)^power, then min", () => {
    expect(at(polynomial({ lr: 1, steps: 4 }), 1, 2, 3, 4, 5, 6, LAST)).toEqual([1, 0.75, 0.5, 0.25, 0, 0, 0]);
    expect(at(polynomial({ lr: 3, steps: 4, power: 2, min: 1 }), 1, 2, 3, 4, 5)).toEqual([3, 2.125, 1.5, 1.125, 1]);
    expect(at(polynomial({ lr: 1, steps: 16, power: 0.5 }), 1, 8, 13, 16, 17)).toEqual([1, 0.75, 0.5, 0.25, 0]);
    expect(at(polynomial({ lr: 1, steps: 16, power: 1.25 }), 1, 16, 17)).toEqual([1, 1 / 32, 0]);
  });

  it("cosineWarmRestarts: half cosines, each multiplier times as long, from lr at its first step", () => {
    const schedule = cosineWarmRestarts({ lr: 1, steps: 2, multiplier: 3, min: 0.5 });
    const half = (n: number, d: number) => 0.5 + 0.25 * (1 + exactCosine(n, d));
    const lengths = [2, 6, 18];
    const expected = lengths.flatMap((d) => Array.from({ length: d }, (_, n) => half(n, d)));
    expected.forEach((rate, i) => {
      expect(Math.abs(schedule(i + 1) - rate), `step ${i + 1}`).toBeLessThanOrEqual(2 ** -52);
    });
    expect(at(schedule, 1, 2, 3, 9, 27)).toEqual([1, 0.75, 1, 1, 1]);
    const equal = cosineWarmRestarts({ lr: 1, steps: 3 });
    expect(at(equal, 1, 4, 7, LAST - (LAST % 3) + 1)).toEqual([1, 1, 1, 1]);
    expect(equal(LAST - (LAST % 3))).toBe(equal(3));
    expect(at(cosineWarmRestarts({ lr: 1, steps: 1 }), 1, 2, LAST)).toEqual([1, 1, 1]);
  });

  it("oneCycle: lr / divFactor, lr, lr / divFactor / finalDivFactor, and constant after", () => {
    const schedule = oneCycle({ lr: 1, steps: 10 });
    expect(at(schedule, 3, 10, 11, LAST)).toEqual([1, 4e-6, 4e-6, 4e-6]);
    expect(schedule(1)).toBeCloseTo(0.04, 15);
    expect(schedule(2)).toBeCloseTo(0.52, 15);
    const lines = { lr: 16, steps: 16, annealStrategy: "linear", divFactor: 4, finalDivFactor: 2 } as const;
    expect(at(oneCycle({ ...lines, pctStart: 0.25 }), 1, 2, 4, 10, 16)).toEqual([4, 8, 16, 9, 2]);
    expect(at(oneCycle({ ...lines, pctStart: 0.25, threePhase: true }), 1, 4, 7, 16)).toEqual([4, 16, 4, 2]);
    // PyTorch divides by zero where a phase has no length.
    expect(at(oneCycle({ ...lines, steps: 4, pctStart: 0.25 }), 1, 4, 5)).toEqual([16, 2, 2]);
    expect(at(oneCycle({ ...lines, steps: 4, pctStart: 1 }), 1, 4, 5)).toEqual([4, 16, 16]);
  });

  it("cyclic: up, down, again; each half as high; or gamma^(t - 1) as high", () => {
    const options = { lr: 9, min: 1, up: 4, down: 2 };
    expect(at(cyclic(options), 1, 2, 3, 4, 5, 6, 7, 8)).toEqual([1, 3, 5, 7, 9, 5, 1, 3]);
    expect(at(cyclic({ lr: 4, up: 2 }), 1, 2, 3, 4, 5, LAST)).toEqual([0, 2, 4, 2, 0, 4]);
    expect(at(cyclic({ ...options, mode: "triangular2" }), 5, 7, 11, 17)).toEqual([9, 1, 5, 3]);
    const falling = cyclic({ ...options, mode: "expRange", gamma: 0.5 });
    expect(at(falling, 1, 2, 5, 7, 11)).toEqual([1, 2, 1.5, 1, 1 + 8 / 1024]);
  });

  it("powers are within (exponent + 3) · 2^-53: of exact ones, whole; of Math.pow, to which 2^-51 is granted, between", () => {
    for (const base of [0.1, 0.5, 0.97, 0.999, 1 - 2 ** -30, 1 - 2 ** -53]) {
      for (const exponent of [0, 1, 2, 3, 7, 100, 255, 256, 1000, 98765]) {
        const exact = bigPower(base, exponent);
        const error = Math.abs(power(base, exponent) - exact);
        expect(error, `${base}^${exponent}`).toBeLessThanOrEqual((exponent + 3) * 2 ** -53 * exact);
      }
      for (const exponent of [0.5, 0.9, 1 / 3, 2.2, 3.37, 1e-9, 1 - 2 ** -53, 12.3456789]) {
        const other = base ** exponent;
        const bound = (exponent + 3) * 2 ** -53 + 2 ** -51;
        expect(Math.abs(power(base, exponent) - other), `${base}^${exponent}`).toBeLessThanOrEqual(bound * other);
      }
    }
    expect([power(0, 0), power(0, 0.9), power(0, 2), power(1, 0.9), power(1, Infinity)]).toEqual([1, 0, 0, 1, 1]);
    expect([power(0.5, Infinity), power(2, Infinity), power(0.5, 1074), power(0.5, 1075)]).toEqual([
      0,
      Infinity,
      5e-324,
      0,
    ]);
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

describe("in every engine", () => {
  const options = { lr: 0.1, min: 1e-3, steps: 977 };
  const all: Record<string, Schedule> = {
    linear: linear({ from: 0.1, to: 0.3, steps: 977 }),
    cosine: cosine(options),
    warmupStableDecay: warmupStableDecay({ lr: 0.1, warmup: 77, stable: 300, decay: 700 }),
    stepDecay: stepDecay({ lr: 0.1, stepSize: 7, gamma: 0.93 }),
    multiStepDecay: multiStepDecay({ lr: 0.1, milestones: [30, 80, 500], gamma: 0.3 }),
    exponential: exponential({ lr: 0.1, gamma: 0.997 }),
    polynomial: polynomial({ ...options, power: 0.9 }),
    cosineWarmRestarts: cosineWarmRestarts({ ...options, steps: 37, multiplier: 2 }),
    oneCycle: oneCycle({ lr: 0.1, steps: 977 }),
    cyclic: cyclic({ lr: 0.1, up: 20, down: 33, mode: "expRange", gamma: 0.999 }),
  };

  it("the same bits: SHA-256 of the first 1,000 rates of 10 schedules", async () => {
    const rates = Object.values(all).map((schedule) => Float64Array.from({ length: 1000 }, (_, i) => schedule(i + 1)));
    expect(await digestOf(rates)).toBe("b7593db4fc24f42fc31443039ec1bcd558d2820c1c2eac412ac887f90bd72d4f");
  });

  it.each(Object.entries(all))("%s uses nothing of Math that engines approximate", (_, schedule) => {
    const approximated = ["cos", "sin", "tan", "exp", "expm1", "log", "log1p", "log2", "log10", "pow", "cbrt", "hypot"];
    const real = Object.fromEntries(approximated.map((name) => [name, Reflect.get(Math, name)]));
    const fake = Object.fromEntries(approximated.map((name) => [name, () => expect.unreachable(name)]));
    try {
      Object.assign(Math, fake);
      for (const step of [1, 2, 3, 500, 976, 977, 978, LAST]) schedule(step);
    } finally {
      Object.assign(Math, real);
    }
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
    ["stepDecay", "lr", (lr) => stepDecay(wrong({ lr, stepSize: 2 }))],
    ["stepDecay", "gamma", (gamma) => stepDecay(wrong({ lr: 1, stepSize: 2, gamma }))],
    ["multiStepDecay", "lr", (lr) => multiStepDecay(wrong({ lr, milestones: [2] }))],
    ["multiStepDecay", "gamma", (gamma) => multiStepDecay(wrong({ lr: 1, milestones: [2], gamma }))],
    ["exponential", "lr", (lr) => exponential(wrong({ lr, gamma: 1 }))],
    ["exponential", "gamma", (gamma) => exponential(wrong({ lr: 1, gamma }))],
    ["polynomial", "lr", (lr) => polynomial(wrong({ lr, steps: 2 }))],
    ["polynomial", "power", (power) => polynomial(wrong({ lr: 1, steps: 2, power }))],
    ["polynomial", "min", (min) => polynomial(wrong({ lr: 1, steps: 2, min }))],
    ["cosineWarmRestarts", "lr", (lr) => cosineWarmRestarts(wrong({ lr, steps: 2 }))],
    ["cosineWarmRestarts", "min", (min) => cosineWarmRestarts(wrong({ lr: 1, steps: 2, min }))],
    ["oneCycle", "lr", (lr) => oneCycle(wrong({ lr, steps: 2 }))],
    ["oneCycle", "pctStart", (pctStart) => oneCycle(wrong({ lr: 1, steps: 2, pctStart }))],
    ["oneCycle", "divFactor", (divFactor) => oneCycle(wrong({ lr: 1, steps: 2, divFactor }))],
    ["oneCycle", "finalDivFactor", (finalDivFactor) => oneCycle(wrong({ lr: 1, steps: 2, finalDivFactor }))],
    ["cyclic", "lr", (lr) => cyclic(wrong({ lr, up: 2 }))],
    ["cyclic", "min", (min) => cyclic(wrong({ lr: 1, up: 2, min }))],
    ["cyclic", "gamma", (gamma) => cyclic(wrong({ lr: 1, up: 2, gamma }))],
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
    ["stepDecay", "stepSize", 1, (stepSize) => stepDecay(wrong({ lr: 1, stepSize }))],
    ["multiStepDecay", "milestones[1]", 0, (m) => multiStepDecay(wrong({ lr: 1, milestones: [1, m] }))],
    ["polynomial", "steps", 1, (steps) => polynomial(wrong({ lr: 1, steps }))],
    ["cosineWarmRestarts", "steps", 1, (steps) => cosineWarmRestarts(wrong({ lr: 1, steps }))],
    ["oneCycle", "steps", 1, (steps) => oneCycle(wrong({ lr: 1, steps }))],
    ["cyclic", "up", 1, (up) => cyclic(wrong({ lr: 1, up }))],
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
    ["milestones that are none", () => multiStepDecay(wrong({ lr: 1, milestones: 3 })), typeError("milestones")],
    ["a hole in them", () => multiStepDecay({ lr: 1, milestones: new Array(1) }), typeError("milestones[0]")],
    ["a factor of 0.5 steps", () => cosineWarmRestarts({ lr: 1, steps: 2, multiplier: 0.5 }), rangeError("multiplier")],
    ["no way down", () => cyclic({ lr: 1, up: 2, down: 0 }), rangeError("down")],
    ["a share above 1", () => oneCycle({ lr: 1, steps: 2, pctStart: 1.1 }), rangeError("pctStart")],
    ["division by 0", () => oneCycle({ lr: 1, steps: 2, divFactor: 0 }), rangeError("divFactor")],
    ["a word for a boolean", () => oneCycle(wrong({ lr: 1, steps: 2, threePhase: 1 })), typeError("threePhase")],
    ["Python's word", () => cyclic(wrong({ lr: 1, up: 2, mode: "exp_range" })), rangeError("mode")],
    ["no word", () => oneCycle(wrong({ lr: 1, steps: 2, annealStrategy: 1 })), typeError("annealStrategy")],
    ["a power of 0", () => polynomial({ lr: 1, steps: 2, power: 0 }), rangeError("power")],
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
