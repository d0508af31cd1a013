/** Any sequence of calls, against a plain model, bit for bit. */
import fc from "fast-check";
import { Adam, type AdamOptions, AdamW, type StepOptions } from "fused-adam";
import { expect, it } from "vitest";
import { runs } from "../support/fuzz.js";
import { dyadic, type Mode, Model, type Optimizer } from "../support/model.js";

const options: fc.Arbitrary<AdamOptions> = fc.record(
  {
    lr: fc.constantFrom<NonNullable<AdamOptions["lr"]>[]>(
      0,
      1e-3,
      0.25,
      3,
      (step) => 1 / (step + 1),
      (step) => (step % 3) / 8,
    ),
    betas: fc.constantFrom<NonNullable<AdamOptions["betas"]>[]>([0.9, 0.999], [0, 0], [0, 0.99], [0.5, 0], [0.99, 0.9]),
    eps: fc.constantFrom(0, 1e-8, 0.5),
    weightDecay: fc.constantFrom(0, 0.01, 0.5),
    maximize: fc.boolean(),
    biasCorrection: fc.boolean(),
  },
  { requiredKeys: [] },
);
const groupOptions = fc
  .record({ base: options, amsgrad: fc.boolean() })
  .map(({ base, amsgrad }) => ({ ...base, amsgrad }));
const lengths = fc.array(fc.constantFrom(0, 1, 2, 7, 15, 16, 17, 33), { minLength: 1, maxLength: 4 });

/** Which tensors, by the bits of a number: there may be more of them by the time it is looked at. */
const some = fc.nat({ max: 2 ** 20 });

const stepOptions = fc.record(
  {
    clipNorm: fc.constantFrom(0, 0.5, 7, 1e9),
    gradScale: fc.constantFrom(0.125, 3, 1024),
    skipNonFinite: fc.boolean(),
    zeroGrad: fc.boolean(),
    skip: some,
    gradNorm: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(0, 0.75, 1e12) },
      { weight: 1, arbitrary: fc.constantFrom(NaN, Infinity) },
    ),
  },
  { requiredKeys: [] },
);

type Call =
  | {
      call: "step";
      seed: number;
      options: Omit<StepOptions, "skip"> & { skip?: number };
      poison?: [number, number, number];
    }
  | { call: "assign"; group: number; options: AdamOptions }
  | { call: "add"; lengths: number[]; options: AdamOptions }
  | { call: "write"; which: number }
  | { call: "reload" };

const poison = fc.tuple(some, some, fc.constantFrom(NaN, Infinity, -Infinity));
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ call: fc.constant("step" as const), seed: some, options: stepOptions }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("step" as const), seed: some, options: stepOptions, poison }) },
  { weight: 2, arbitrary: fc.record({ call: fc.constant("assign" as const), group: some, options }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("add" as const), lengths, options: groupOptions }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("write" as const), which: some }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("reload" as const) }) },
);

class Pair {
  readonly optimizer: Optimizer;
  readonly model: Model;

  constructor(mode: Mode, kernel: "simd" | "scalar", first: number[], base: AdamOptions) {
    const params = this.#values(first, 0);
    this.optimizer = (mode === "adam" ? Adam : AdamW).createSync(params, { ...base, kernel });
    this.model = new Model(mode, params, base);
  }

  #values(of: number[], from: number): Record<string, Float32Array> {
    return Object.fromEntries(of.map((length, i) => [`p${from + i}`, dyadic(length, 7 * (from + i))]));
  }

  run(next: Call): void {
    const { optimizer, model } = this;
    switch (next.call) {
      case "step": {
        model.fillGrads(optimizer, next.seed);
        if (next.poison !== undefined) this.#poison(...next.poison);
        const skip = optimizer.names.filter((_, i) => ((next.options.skip ?? 0) >> (i % 20)) & 1);
        const { skip: _, ...rest } = next.options;
        expect(optimizer.step({ ...rest, skip })).toStrictEqual(model.step({ ...rest, skip }));
        return;
      }
      case "assign": {
        const group = next.group % model.groups.length;
        Object.assign(optimizer.paramGroups[group]!, next.options);
        Object.assign(model.groups[group]!.hyper, next.options);
        return;
      }
      case "add": {
        if (optimizer.names.length > 12) return;
        const params = this.#values(next.lengths, optimizer.names.length);
        optimizer.addParamGroup({ params, ...next.options });
        model.add(params, next.options);
        return;
      }
      case "write": {
        const name = optimizer.names[next.which % optimizer.names.length]!;
        for (const param of [optimizer.param(name), model.at(name).param]) param.fill(next.which / 2 ** 18);
        return;
      }
      case "reload": {
        const dict = structuredClone(optimizer.stateDict());
        // A run that has diverged cannot be loaded: that is another test's matter.
        const finite = Object.values(dict.state).every((entry) =>
          [entry.exp_avg, entry.exp_avg_sq, entry.max_exp_avg_sq ?? []].every((all) => all.every(Number.isFinite)),
        );
        if (finite) optimizer.loadStateDict(dict);
      }
    }
  }

  #poison(which: number, at: number, value: number): void {
    const { optimizer, model } = this;
    const name = optimizer.names[which % optimizer.names.length]!;
    const { length } = optimizer.grad(name);
    if (length > 0) for (const grad of [optimizer.grad(name), model.at(name).grad]) grad[at % length] = value;
  }
}

const mode = fc.constantFrom<Mode[]>("adam", "adamw");
const kernel = fc.constantFrom("simd" as const, "scalar" as const);

it("any sequence of calls leaves what the model says, after every one of them", () => {
  const calls = fc.array(call, { minLength: 1, maxLength: 30, size: "max" });
  fc.assert(
    fc.property(mode, kernel, lengths, groupOptions, calls, (ofMode, ofKernel, first, base, sequence) => {
      const pair = new Pair(ofMode, ofKernel, first, base);
      for (const [i, next] of sequence.entries()) {
        pair.run(next);
        pair.model.expectSame(pair.optimizer, `call ${i}, ${next.call}:`);
      }
    }),
    runs(60),
  );
});

it("1,000 steps of one run, other calls between them", () => {
  // A NaN that nobody skips stays for ever, and from then on hides everything else about its element.
  const calls = fc.sample(call, { numRuns: 3500, seed: 20250101 }).filter((next) => !("poison" in next));
  const pair = new Pair("adamw", "simd", [5, 16, 0, 1], { lr: 0.01, weightDecay: 0.1 });
  for (const [i, next] of calls.entries()) {
    pair.run(next);
    if (i % 50 === 0) pair.model.expectSame(pair.optimizer, `call ${i}:`);
  }
  pair.model.expectSame(pair.optimizer, "at the end:");
  expect(pair.model.largestStep).toBeGreaterThan(1000);
  const values = [...pair.model.tensors.values()].flatMap(({ expAvg, expAvgSq }) => [...expAvg, ...expAvgSq]);
  expect(values.every(Number.isFinite)).toBe(true);
});
