/** What a load says that it brought, and loads that take only what fits. */
import { Adam, AdamW, type LoadOptions, type LoadReport, type StateDict } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { expectSamePrint, fillGrads, fingerprint, sample } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { edited, stepped, typedError } from "./support.js";

/** Both ways to load, and what they have in common. */
const ways: Record<string, (from: Optimizer, to: Optimizer, options?: LoadOptions) => LoadReport> = {
  loadStateDict: (from, to, options) => to.loadStateDict(from.stateDict(), options),
  loadCheckpoint: (from, to, options) => {
    const { metadata, tensors, ...report } = loadCheckpoint(to, encodeCheckpoint(from, { params: false }), options);
    expect([metadata, tensors]).toEqual([{}, {}]);
    return report;
  },
};

const report = (loaded: string[], rest: Partial<LoadReport> = {}): LoadReport => {
  return { loaded, missing: [], unexpected: [], mismatched: [], params: false, ...rest };
};

/** A backbone, and a head that is another in each model: "body" and "neck" fit, "head" has another shape, "gone" and "new" are each in one. */
const trained = () =>
  stepped(
    AdamW.createSync(
      [
        { params: { body: dyadic(5, 1), neck: dyadic(3, 2) }, lr: 0.125, weightDecay: 0.5 },
        { params: { head: { shape: [2, 3], data: dyadic(6, 3) }, gone: dyadic(2, 4) }, lr: 0.25, eps: 0.5 },
      ],
      { betas: [0.5, 0.75] },
    ),
  );
const fresh = () =>
  stepped(
    AdamW.createSync([
      { params: { body: dyadic(5, 7), neck: dyadic(3, 8) } },
      { params: { head: { shape: [3, 3], data: dyadic(9, 9) }, new: dyadic(4, 1) }, lr: 0.75 },
    ]),
    2,
  );
const FITTING = report(["body", "neck"], { missing: ["new"], unexpected: ["gone"], mismatched: ["head"] });

describe.each(Object.entries(ways))("%s", (_, load) => {
  test("a whole load tells every name, and nothing else", () => {
    expect(load(stepped(sample()), sample())).toStrictEqual(report(["a", "b", "c", "d"]));
    expect(load(stepped(sample()), sample(), {})).toStrictEqual(report(["a", "b", "c", "d"]));
    expect(load(stepped(sample()), sample(), { partial: true })).toStrictEqual(report(["a", "b", "c", "d"]));
  });

  test("a partial load takes what fits, and the rest begins at step 0 with zero moments", () => {
    const [from, to] = [trained(), fresh()];
    const params = to.names.map((name) => to.param(name).slice());
    expect(load(from, to, { partial: true })).toStrictEqual(FITTING);
    const [there, here] = [from.stateDict(), to.stateDict()];
    for (const name of ["body", "neck"]) expect(here.state[name]).toEqual(there.state[name]);
    const zeros = (length: number) => ({
      step: 0,
      exp_avg: new Float32Array(length),
      exp_avg_sq: new Float32Array(length),
    });
    expect(here.state.head).toEqual(zeros(9));
    expect(here.state.new).toEqual(zeros(4));
    to.names.forEach((name, i) => {
      expectSameBits(name, to.param(name), params[i]!);
    });
  });

  test("hyper-parameters go from a group to one with the same parameters, and to no other", () => {
    const to = fresh();
    load(trained(), to, { partial: true });
    expect(to.paramGroups[0]).toMatchObject({ lr: 0.125, weightDecay: 0.5, betas: [0.5, 0.75], eps: 1e-8 });
    expect(to.paramGroups[1]).toMatchObject({ lr: 0.75, weightDecay: 0.01, betas: [0.9, 0.999], eps: 1e-8 });
  });

  test("after a partial load, what was loaded goes on as if it had never stopped", () => {
    const [from, to] = [trained(), fresh()];
    load(from, to, { partial: true });
    for (const name of ["body", "neck"]) to.param(name).set(from.param(name));
    for (let step = 0; step < 5; step++) {
      fillGrads(from, step);
      for (const name of ["body", "neck"]) to.grad(name).set(from.grad(name));
      from.step({ skip: ["head", "gone"] });
      to.step({ skip: ["head", "new"] });
    }
    for (const name of ["body", "neck"]) expectSameBits(name, to.param(name), from.param(name));
  });

  test("without `partial` the same is refused, and nothing changes", () => {
    const to = fresh();
    const print = fingerprint(to);
    for (const options of [undefined, {}, { partial: false }, { partial: undefined }, { keepOptions: true }]) {
      expect(typedError(() => load(trained(), to, options))?.code).toBe("ERR_STATE_MISMATCH");
    }
    expectSamePrint(fingerprint(to), print);
  });

  test("nothing that fits: everything begins anew", () => {
    const to = fresh();
    const other = stepped(AdamW.createSync({ x: dyadic(1, 1) }));
    const missing = ["body", "neck", "head", "new"];
    expect(load(other, to, { partial: true })).toStrictEqual(report([], { missing, unexpected: ["x"] }));
    expect(to.steps).toBe(0);
    expect(to.paramGroups[0]).toMatchObject({ lr: 1e-3 });
  });

  test("another amsgrad, and the other optimizer's weight decay, are refused in a partial load, too", () => {
    const print = fingerprint(fresh());
    for (const [other, code] of [
      [stepped(AdamW.createSync({ body: dyadic(5, 1) }, { amsgrad: true })), "ERR_STATE_MISMATCH"],
      [stepped(AdamW.createSync({ body: dyadic(5, 1), neck: dyadic(3, 1) }, { amsgrad: true })), "ERR_STATE_MISMATCH"],
      [stepped(Adam.createSync({ x: dyadic(5, 1) }, { weightDecay: 0.1 })), "ERR_STATE_MISMATCH"],
    ] as const) {
      const to = fresh();
      expect(typedError(() => load(other, to, { partial: true }))?.code).toBe(code);
      expectSamePrint(fingerprint(to), print);
    }
  });

  test("`keepOptions`: state comes, the optimizer's own hyper-parameters stay", () => {
    const falling = (step: number) => 1 / step;
    const make = (options: object) => AdamW.createSync({ w: dyadic(3, 1) }, options);
    const from = stepped(make({ lr: 0.5, betas: [0.5, 0.75], eps: 1, weightDecay: 0.25, maximize: true }));
    const to = make({ lr: 0.125, weightDecay: 0.75, biasCorrection: false });
    load(from, to, { keepOptions: true });
    expect(to.stateDict().state).toEqual(from.stateDict().state);
    expect(to.stateDict().param_groups).toEqual(
      make({ lr: 0.125, weightDecay: 0.75, biasCorrection: false }).stateDict().param_groups,
    );
    load(from, to);
    expect(to.stateDict().param_groups).toEqual(from.stateDict().param_groups);
    // A schedule's rate is its own for the step that was loaded, not the state's.
    const scheduled = make({ lr: falling });
    load(from, scheduled, { keepOptions: true });
    expect(scheduled.stateDict().param_groups[0]!.lr).toBe(1 / 3);
    scheduled.step();
    expect(scheduled.stateDict().param_groups[0]!.lr).toBe(1 / 4);
  });

  test("options of a wrong kind are refused", () => {
    for (const options of [null, 1, true, [], { partial: 1 }, { partial: null }, { keepOptions: "yes" }, { part: 1 }]) {
      expect(typedError(() => load(trained(), fresh(), options as LoadOptions))?.name).toBe("TypeError");
    }
    expect(typedError(() => load(trained(), fresh(), { Partial: true } as LoadOptions))?.message).toContain(
      'did you mean "partial"?',
    );
  });
});

test("a state dict with parameters never stepped may leave out their moments: they are zeros, and told as missing", () => {
  const dict = stepped(sample()).stateDict();
  const sparse: StateDict = { ...dict, state: { ...dict.state, b: { step: 0 } as never, c: { step: 0 } as never } };
  const to = stepped(sample(), 5);
  expect(to.loadStateDict(sparse)).toStrictEqual(report(["a", "d"], { missing: ["b", "c"] }));
  const { state } = to.stateDict();
  const zeros = (length: number) => new Float32Array(length);
  expect(state.b).toEqual({ step: 0, exp_avg: zeros(16), exp_avg_sq: zeros(16) });
  expect(state.c).toEqual({ step: 0, exp_avg: zeros(3), exp_avg_sq: zeros(3), max_exp_avg_sq: zeros(3) });
  // One of two, or none after a step, is damage.
  for (const b of [{ step: 3 }, { step: 0, exp_avg: zeros(16) }, {}]) {
    const damaged: StateDict = { ...dict, state: { ...dict.state, b: b as never } };
    for (const partial of [false, true]) {
      expect(typedError(() => to.loadStateDict(damaged, { partial }))?.message).toMatch(/^"state\.b\./);
    }
  }
});

test("a partial load refuses damage as ever, and nothing changes", () => {
  const to = fresh();
  const print = fingerprint(to);
  const damages: [RegExp, (dict: StateDict) => void][] = [
    [/^"state\.body\.exp_avg"/, ({ state }) => state.body!.exp_avg.fill(Number.NaN)],
    [/^"state\.head\.exp_avg_sq"/, ({ state }) => state.head!.exp_avg_sq.fill(-1)],
    [/^"state\.neck\.step"/, ({ state }) => Object.assign(state.neck!, { step: -1 })],
    [/^"param_groups\[1\]\.lr"/, ({ param_groups }) => Object.assign(param_groups[1]!, { lr: -1 })],
    [/^"param_groups\[2\]\.params"/, ({ param_groups }) => param_groups.push(param_groups[0]!)],
  ];
  for (const [message, damage] of damages) {
    const dict = trained().stateDict();
    damage(dict);
    expect(typedError(() => to.loadStateDict(dict, { partial: true }))?.message).toMatch(message);
  }
  expectSamePrint(fingerprint(to), print);
});

describe("partial loads of checkpoints", () => {
  test("parameters come with the state of what fits, and stay where it does not", () => {
    const [from, to] = [trained(), fresh()];
    const kept = ["head", "new"].map((name) => to.param(name).slice());
    expect(loadCheckpoint(to, encodeCheckpoint(from), { partial: true })).toMatchObject({ ...FITTING, params: true });
    for (const name of ["body", "neck"]) expectSameBits(name, to.param(name), from.param(name));
    ["head", "new"].forEach((name, i) => {
      expectSameBits(name, to.param(name), kept[i]!);
    });
    expect(loadCheckpoint(trained(), encodeCheckpoint(from)).params).toBe(true);
  });

  test("as many values in another shape do not fit", () => {
    const from = stepped(AdamW.createSync({ w: { shape: [2, 3] }, b: dyadic(1, 1) }));
    const to = stepped(AdamW.createSync({ w: { shape: [3, 2] }, b: dyadic(1, 2) }), 1);
    const kept = to.param("w").slice();
    for (const params of [true, false]) {
      const got = loadCheckpoint(to, encodeCheckpoint(from, { params }), { partial: true });
      expect(got).toMatchObject(report(["b"], { mismatched: ["w"], params }));
      expect(to.stateDict().state.w!.step).toBe(0);
      expectSameBits("w", to.param("w"), kept);
    }
  });

  test("damage is refused wherever it is", () => {
    const damages: [string, (data: Float32Array, at: (name: string) => number) => void][] = [
      ["gone", (data, at) => data.fill(Number.NaN, at("gone"), at("gone") + 1)],
      ["gone.exp_avg_sq", (data, at) => data.fill(-1, at("gone.exp_avg_sq"), at("gone.exp_avg_sq") + 1)],
      ["head.exp_avg", (data, at) => data.fill(Infinity, at("head.exp_avg"), at("head.exp_avg") + 1)],
    ];
    for (const [name, damage] of damages) {
      const to = fresh();
      const print = fingerprint(to);
      const bytes = edited(trained(), (header, data) => damage(data, (key) => header[key].data_offsets[0] / 4));
      const error = typedError(() => loadCheckpoint(to, bytes, { partial: true }));
      expect(error).toMatchObject({ code: "ERR_NON_FINITE" });
      expect(error?.message).toContain(name);
      expectSamePrint(fingerprint(to), print);
    }
    const bytes = edited(trained(), ({ __metadata__ }) => {
      __metadata__.param_groups = __metadata__.param_groups.replace('"gone"', '"lost"');
    });
    expect(typedError(() => loadCheckpoint(fresh(), bytes, { partial: true }))?.code).toBe("ERR_STATE_MISMATCH");
  });
});
