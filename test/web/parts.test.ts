/** What the page is made of, where no browser is needed: its data, its measurement of decay, exact resume, the comparison. */
import { gunzipSync, gzipSync } from "node:zlib";
import { Adam, AdamW } from "fused-adam";
import { describe, expect, test } from "vitest";
import { CLASSES, type Dataset, PIXELS, type Split } from "../../examples/shared/data.js";
import { loadDigits } from "../../examples/shared/digits.js";
import { initialValues } from "../../examples/shared/model.js";
import { createRng } from "../../examples/shared/rng.js";
import { Run, type RunState } from "../../examples/shared/run.js";
import { SEED } from "../../examples/shared/task.js";
import { WIDTHS, type Width } from "../../examples/shared/width.js";
import { decodeSplit, encodeSplit } from "../../examples/web/compact.js";
import { agree, COMMON_STEPS } from "../../examples/web/compare.js";
import { type Contender, createProblem, fusedAdam, HYPER, plainLoop } from "../../examples/web/contenders.js";
import type { DecayPicture } from "../../examples/web/decayMeter.js";
import { LABELS } from "../../examples/web/protocol.js";
import { DEFAULTS } from "../../examples/web/settings.js";
import { Trainer } from "../../examples/web/trainer.js";
import { expectSameBits } from "../support/bits.js";
import { rounded } from "../support/halves.js";

/** Noise in the upper half of every image, none in the lower: so that half of the first layer never has a gradient. */
function noise(size: number, seed: number): Dataset {
  const rng = createRng(seed);
  const images = Float32Array.from({ length: size * PIXELS }, (_, i) => (i % PIXELS < PIXELS / 2 ? 2 * rng() - 1 : 0));
  return { images, labels: Uint8Array.from({ length: size }, () => Math.floor(CLASSES * rng())), size };
}

const split: Split = { train: noise(96, 1), heldOut: noise(8, 2) };

describe("digits.bin", () => {
  test("holds the demo's own digits, bit for bit", () => {
    const digits = loadDigits(300, 200, 3);
    const decoded = decodeSplit(new Uint8Array(gunzipSync(gzipSync(encodeSplit(digits)))));
    for (const part of ["train", "heldOut"] as const) {
      expect([...decoded[part].labels]).toEqual([...digits[part].labels]);
      expectSameBits(part, decoded[part].images, digits[part].images);
    }
  });

  test("refuses a grey level that a byte cannot say, and a file of another length", () => {
    const { train, heldOut } = loadDigits(2, 1, 3);
    const images = train.images.slice();
    images[5] = 0.5001;
    expect(() => encodeSplit({ train: { ...train, images }, heldOut })).toThrow("one of 256 grey levels, got 0.5001");
    const bytes = encodeSplit({ train, heldOut });
    expect(() => decodeSplit(bytes.slice(0, -1))).toThrow(`expected ${bytes.length} bytes, got ${bytes.length - 1}`);
    expect(() => decodeSplit(bytes.slice(0, 3))).toThrow(RangeError);
  });
});

describe("what decay did", () => {
  const STEPS = 12;

  async function trained(weightDecay: number) {
    const trainer = await Trainer.create(split, { ...DEFAULTS, weightDecay });
    for (let step = 0; step < STEPS; step++) trainer.advance();
    const [adamW, adamL2] = trainer.decay()!.runs as [DecayPicture, DecayPicture];
    trainer.dispose();
    return { adamW, adamL2 };
  }

  // 1 − αλ is rounded to float32, whose spacing below 1 is 6e-8: up to 0.7 % of αλ = 4e-6.
  test.each([
    [0.1, 0.001],
    [0.001, 0.01],
  ])("AdamW, λ = %d: as asked, within %d for 80 % of the weights of every bin", async (lambda, bound) => {
    const { adamW } = await trained(lambda);
    expect(adamW.bins.length).toBe(9);
    for (const { low, high } of adamW.bins) {
      expect(low).toBeGreaterThan(1 - bound);
      expect(high).toBeLessThan(1 + bound);
    }
  });

  /** In float64 and from the formula: without gradients the L2 term alone is m, and its square v. */
  test("Adam + L2 where no gradient ever was: what the formula says, within 1e-4 at the median", async () => {
    const lambda = 0.1;
    const { adamL2 } = await trained(lambda);
    const silent = adamL2.bins.at(-1)!;
    expect(silent.largest).toBe(0);

    const { w1 } = initialValues(createRng(SEED));
    const silentWeights = [...w1].filter((p, i) => i % 5 === 0 && i >= (PIXELS / 2) * 64 && Math.abs(p) >= 0.01);
    expect(silent.weights).toBe(silentWeights.length);
    const multiples = silentWeights.map((start) => {
      let [p, m, v, received, asked] = [start, 0, 0, 0, 0];
      for (let t = 1; t <= STEPS; t++) {
        const lr = DEFAULTS.lr * (1 - (t - 1) / (8 * 3));
        m = 0.9 * m + 0.1 * lambda * p;
        v = 0.999 * v + 0.001 * (lambda * p) ** 2;
        const move = ((lr / (1 - 0.9 ** t)) * m) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8);
        asked += lr * lambda * Math.abs(p);
        received += Math.sign(p) * move;
        p -= move;
      }
      return received / asked;
    });
    const median = multiples.sort((a, b) => a - b)[multiples.length >> 1]!;
    expect(Math.abs(silent.median / median - 1)).toBeLessThan(1e-4);
  });

  test("Adam + L2: weights with small gradients receive more than twice what those with large ones do", async () => {
    const { adamL2 } = await trained(1e-4);
    const [small, large] = [adamL2.bins[0]!, adamL2.bins.at(-2)!];
    expect(small.median).toBeGreaterThan(2 * large.median);
  });

  test("begins anew with a change, which is recorded from the next step on", async () => {
    const trainer = await Trainer.create(split, DEFAULTS);
    trainer.advance();
    trainer.configure({ ...DEFAULTS, weightDecay: 0.3, threads: 1 });
    expect(trainer.changes).toEqual([{ step: 1, key: "weightDecay", from: 0.1, to: 0.3 }]);
    expect(trainer.decay()).toBeUndefined();
    trainer.advance();
    trainer.advance();
    const { since, step, runs } = trainer.decay()!;
    expect([since, step]).toEqual([1, 3]);
    expect(runs[0]!.bins.every(({ median }) => Math.abs(median - 1) < 1e-3)).toBe(true);
    const [adamW, , adam] = trainer.runs.map((run) => run.model.optimizer.paramGroups);
    expect(adamW!.map(({ weightDecay }) => weightDecay)).toEqual([0.3, 0]);
    expect(adam!.map(({ weightDecay }) => weightDecay)).toEqual([0, 0]);

    // Nothing is left of the decay that was asked for before.
    trainer.configure({ ...DEFAULTS, weightDecay: 0 });
    trainer.advance();
    for (const { bins } of trainer.decay()!.runs) {
      expect(bins.every(({ median }) => !Number.isFinite(median))).toBe(true);
    }
    trainer.dispose();
  });
});

test("an epoch shows every image once, in another order each time", async () => {
  const seen: number[] = [];
  const labels = new Proxy(split.train.labels, {
    get(target, key) {
      const index = Number(key);
      if (Number.isInteger(index)) seen.push(index);
      return Reflect.get(target, key);
    },
  });
  const rule = { label: "Adam", optimizer: Adam, weightDecay: 0 };
  const run = await Run.create(rule, { ...split, train: { ...split.train, labels } }, { epochs: 2, seed: 1, lr: 1e-3 });
  while (!run.finished) run.step();
  run.dispose();
  // Each image's label is read twice, forward and backward.
  const shown = seen.filter((_, i) => i % 2 === 0);
  const [first, second] = [shown.slice(0, 96), shown.slice(96)];
  for (const epoch of [first, second]) {
    expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 96 }, (_, i) => i));
  }
  expect(first).not.toEqual(second);
});

describe("resume", () => {
  const outcome = (trainer: Trainer) => ({
    curves: trainer.runs.map(({ losses, evaluations }) => ({ losses: [...losses], evaluations: [...evaluations] })),
    decay: trainer.decay(),
    changes: [...trainer.changes],
  });

  // An epoch has three steps: in the middle of one, at the end of one, and before the first.
  test.each([5, 6, 0])("after step %d: bit for bit what went on without a stop", async (stop) => {
    const straight = await Trainer.create(split, DEFAULTS);
    const advance = (trainer: Trainer, steps: number) => {
      for (let i = 0; i < steps; i++) trainer.advance();
    };
    const settings = { ...DEFAULTS, lr: 0.002, beta1: 0.8 };
    advance(straight, stop);
    straight.configure(settings);
    const state = straight.state();
    advance(straight, 5);

    const resumed = await Trainer.create(split, settings, state);
    expect(resumed.step).toBe(stop);
    advance(resumed, 5);
    expect(outcome(resumed)).toEqual(outcome(straight));
    for (const [i, { model }] of resumed.runs.entries()) {
      for (const name of ["w1", "w2", "b1", "b2"] as const) {
        expectSameBits(`${LABELS[i]}, ${name}`, model.params[name], straight.runs[i]!.model.params[name]);
      }
    }
    straight.dispose();
    resumed.dispose();
  });

  test.each([
    ["bfloat16 moments", "float32"],
    ["float32", "bfloat16 moments and gradients"],
  ] as const)(
    "from %s to %s: parameters have the same bits, moments are the nearest that there are",
    async (from, to) => {
      const rule = { label: "AdamW", optimizer: AdamW, weightDecay: 0.1 };
      const make = (width: Width, state?: RunState) =>
        Run.create(rule, split, { epochs: 8, seed: SEED, lr: 1e-3, ...WIDTHS[width], from: state });
      const saved = await make(from);
      for (let i = 0; i < 4; i++) saved.step();
      const loaded = await make(to, saved.state());
      const [before, after] = [saved, loaded].map((run) => run.model.optimizer.stateDict().state);
      for (const name of ["w1", "w2", "b1", "b2"] as const) {
        expectSameBits(name, loaded.model.params[name], saved.model.params[name]);
        for (const moment of ["exp_avg", "exp_avg_sq"] as const) {
          const values = before![name]![moment];
          const expected = to === "float32" ? values : rounded("bfloat16", values);
          expectSameBits(`${name}, ${moment}`, after![name]![moment], expected);
        }
      }
      for (const run of [saved, loaded]) run.step();
      expect(loaded.losses).toEqual(saved.losses);
      for (const run of [saved, loaded]) run.dispose();
    },
  );

  test("a state that was damaged is refused", async () => {
    const trainer = await Trainer.create(split, DEFAULTS);
    const state = trainer.state();
    const { checkpoint } = state.runs[1]!;
    checkpoint[checkpoint.length - 100]! ^= 1;
    await expect(Trainer.create(split, DEFAULTS, state)).rejects.toThrow("checksum");
    trainer.dispose();
  });
});

describe("the comparison of speeds", () => {
  test("the loop and the package end within 1e-6 of Adam in float64, in units of α · steps", async () => {
    const problem = createProblem(500, COMMON_STEPS);
    const expected = problem.start.map((start, i) => {
      let [p, m, v] = [start, 0, 0];
      for (const [step, gradient] of problem.gradients.entries()) {
        m = 0.9 * m + 0.1 * gradient[i]!;
        v = 0.999 * v + 0.001 * gradient[i]! ** 2;
        p -= (1e-3 * (m / (1 - 0.9 ** (step + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8);
      }
      return p;
    });
    for (const contender of [await fusedAdam(problem, 1), plainLoop(problem)]) {
      for (let i = 0; i < COMMON_STEPS; i++) contender.step(i);
      const bound = 1e-6 * HYPER.lr * COMMON_STEPS + 8 * 2 ** -28;
      (await contender.params()).forEach((value, i) => {
        expect(Math.abs(value - expected[i]!), `${contender.name}, ${i}`).toBeLessThan(bound);
      });
      contender.dispose();
    }
  });

  test("refuses one that computes something else, or nothing", async () => {
    const problem = createProblem(100, COMMON_STEPS);
    const wrong = (change: (params: Float32Array) => Float32Array): Contender => {
      const loop = plainLoop(problem);
      return { ...loop, name: "faulty", params: async () => change(await loop.params()) };
    };
    await expect(agree([plainLoop(problem), wrong(() => problem.start)])).rejects.toThrow("faulty ended");
    await expect(agree([plainLoop(problem), wrong((p) => p.with(7, p[7]! + 1e-6))])).rejects.toThrow("faulty ended");
    await expect(agree([plainLoop(problem), wrong((p) => p.with(7, Number.NaN))])).rejects.toThrow("faulty ended NaN");
    expect(await agree([plainLoop(problem), plainLoop(problem)])).toEqual([0, 0]);
  });
});
