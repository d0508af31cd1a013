/** Every way a state dict can be damaged. It comes from outside and is hostile until checked. */
import { AdamW, type GroupState, type ParamState, type StateDict } from "fused-adam";
import { describe, expect, it } from "vitest";
import {
  caught,
  type Expected,
  expectSamePrint,
  fillGrads,
  fingerprint,
  rangeError,
  sample,
  Twins,
  typeError,
} from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, type Optimizer } from "../support/model.js";

type Damage = (dict: StateDict) => void;
interface Case {
  readonly what: string;
  readonly damage: Damage;
  readonly expected: Expected;
}

const mismatch = (label: string | RegExp) => rangeError(label, "ERR_STATE_MISMATCH");
const unknown = (label: string) => typeError(label, "ERR_UNKNOWN_OPTION");
const wrongLength = (label: string) => rangeError(label, "ERR_SHAPE_MISMATCH");
const nonFinite = (label: string) => rangeError(label, "ERR_NON_FINITE");

/** Something else in place of a part of the dict; where that is undefined, nothing at all. */
function put(path: readonly (string | number)[], value: unknown): Damage {
  return (dict) => {
    let parent: Record<string, unknown> = dict as unknown as Record<string, unknown>;
    for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
    const key = path.at(-1)!;
    if (value === undefined) delete parent[key];
    else Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
  };
}

function cases(path: readonly (string | number)[], values: readonly unknown[], expected: Expected): Case[] {
  return values.map((value) => ({
    what: `${path.join(".")}: ${typeof value === "object" ? Object.prototype.toString.call(value) : String(value)}`,
    damage: put(path, value),
    expected,
  }));
}

function detached(length: number): Float32Array {
  const values = new Float32Array(length);
  structuredClone(values.buffer, { transfer: [values.buffer] });
  return values;
}

/** Five values as "a" has, one of them replaced. */
const withOne = (i: number, value: number) => Object.assign(new Float32Array(5).fill(0.5), { [i]: value });

const NO_OBJECT = [undefined, null, 5, "x", true, 1n, [], () => ({}), new Float32Array(3)];
const NO_ARRAY = [undefined, null, 5, "ab", true, {}, { length: 0 }, new Set(["a"]), new Float32Array(2), () => []];
const NO_NUMBER = [undefined, null, "1", true, 1n, [], [1], {}, () => 1];
const NO_FLOATS = [
  ...[undefined, null, 5, "x", {}, [0, 0, 0, 0, 0], new ArrayBuffer(20), new DataView(new ArrayBuffer(20))],
  ...[new Float64Array(5), new Int32Array(5), new Uint8Array(20), Buffer.alloc(20), new Proxy(new Float32Array(5), {})],
  { length: 5, 0: 0, 1: 0, 2: 0, 3: 0, 4: 0 },
];

// "a" has 5 elements, "b" 16, both in group 0; "c" 3 and AMSGrad; "d" 18 and a schedule.
const CASES: Case[] = [
  ...cases(["state"], NO_OBJECT, typeError("state")),
  ...cases(["param_groups"], NO_ARRAY, typeError("param_groups")),
  ...cases(["extra"], [1], unknown("state_dict")),
  ...cases(["state", "a"], [undefined], mismatch("state")),
  ...cases(["state", "d"], [undefined], mismatch("state")),
  ...cases(["state", "e"], [{}, 5], mismatch("state")),
  ...cases(["state", "__proto__"], [{}], mismatch("state")),
  ...cases(["state", "a"], NO_OBJECT.slice(1), typeError("state.a")),
  ...cases(["state", "a", "expAvg"], [new Float32Array(5)], unknown("state.a")),
  ...cases(["state", "a", "step"], NO_NUMBER, typeError("state.a.step")),
  ...cases(["state", "d", "step"], [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300], rangeError("state.d.step")),
  ...(["exp_avg", "exp_avg_sq"] as const).flatMap((key) => [
    ...cases(["state", "a", key], NO_FLOATS, typeError(`state.a.${key}`)),
    ...cases(
      ["state", "a", key],
      [0, 4, 6, 16].map((n) => new Float32Array(n)),
      wrongLength(`state.a.${key}`),
    ),
    ...cases(["state", "a", key], [detached(5), detached(0)], typeError(`state.a.${key}`, "ERR_DETACHED_BUFFER")),
    ...[0, 4].flatMap((i) =>
      cases(
        ["state", "a", key],
        [NaN, Infinity, -Infinity].map((x) => withOne(i, x)),
        nonFinite(`state.a.${key}`),
      ),
    ),
  ]),
  ...cases(
    ["state", "a", "exp_avg_sq"],
    [-1, -1e-45, -3e38].map((x) => withOne(2, x)),
    nonFinite("state.a.exp_avg_sq"),
  ),
  ...cases(["state", "a", "max_exp_avg_sq"], [new Float32Array(5), null, 5], mismatch("state.a.max_exp_avg_sq")),
  ...cases(["state", "c", "max_exp_avg_sq"], [undefined, null, [0, 0, 0]], typeError("state.c.max_exp_avg_sq")),
  ...cases(["state", "c", "max_exp_avg_sq"], [new Float32Array(2)], wrongLength("state.c.max_exp_avg_sq")),
  ...cases(
    ["state", "c", "max_exp_avg_sq"],
    [NaN, Infinity, -1e-45].map((x) => new Float32Array([0, 0, x])),
    nonFinite("state.c.max_exp_avg_sq"),
  ),
  ...cases(["param_groups", 1], NO_OBJECT, typeError("param_groups[1]")),
  ...cases(["param_groups", 1, "weightDecay"], [0], unknown("param_groups[1]")),
  ...cases(["param_groups", 1, "params"], NO_ARRAY, typeError("param_groups[1].params")),
  ...cases(
    ["param_groups", 0, "params"],
    [
      ["a", 1],
      ["a", null],
      [["a"], "b"],
    ],
    typeError(/^param_groups\[0\]\.params\[[01]\]$/),
  ),
  ...cases(
    ["param_groups", 0, "params"],
    [Object.assign(new Array(2), { 0: "a" })],
    typeError("param_groups[0].params[1]"),
  ),
  ...cases(["param_groups", 0, "params"], [["a", "a"]], rangeError("param_groups[0].params", "ERR_DUPLICATE_NAME")),
  ...cases(
    ["param_groups", 0, "params"],
    [[], ["a"], ["a", "b", "c"], ["a", "c"], ["a", "B"]],
    mismatch("param_groups[0].params"),
  ),
  // The names of another group: what that group has no second time, or has otherwise, comes out next.
  ...cases(["param_groups", 0, "params"], [["c"], ["d"]], mismatch(/^param_groups\[[0-2]\]\.(params|amsgrad)$/)),
  ...["lr", "eps", "weight_decay", "betas", "amsgrad", "maximize", "bias_correction"].flatMap((key) =>
    cases(
      ["param_groups", 2, key],
      [undefined, null, "1", [1n], {}, Symbol("x")],
      typeError(new RegExp(`^param_groups\\[2\\]\\.${key}`)),
    ).filter(({ what }) => !(key === "betas" && what.includes("Array"))),
  ),
  ...["lr", "eps", "weight_decay"].flatMap((key) =>
    cases(["param_groups", 0, key], [NaN, Infinity, -1], rangeError(`param_groups[0].${key}`)),
  ),
  ...cases(["param_groups", 0, "betas"], [[0.9], [0.9, 0.999, 0]], rangeError("param_groups[0].betas")),
  ...cases(
    ["param_groups", 0, "betas"],
    [
      [0.9, 1],
      [0.9, NaN],
    ],
    rangeError("param_groups[0].betas[1]"),
  ),
  ...cases(
    ["param_groups", 0, "decoupled_weight_decay"],
    [null, "true", 1, [true], {}],
    typeError("param_groups[0].decoupled_weight_decay"),
  ),
  ...cases(["param_groups", 2, "decoupled_weight_decay"], [false], mismatch("param_groups[2].decoupled_weight_decay")),
  ...cases(["param_groups", 0, "amsgrad"], [true], mismatch("param_groups[0].amsgrad")),
  ...cases(["param_groups", 1, "amsgrad"], [false], mismatch("param_groups[1].amsgrad")),
  ...[
    ["one group less", (dict: StateDict) => dict.param_groups.pop()],
    ["no groups", (dict: StateDict) => dict.param_groups.splice(0)],
    ["one group more", (dict: StateDict) => dict.param_groups.push({ ...dict.param_groups[0]!, params: ["e"] })],
    ["the same group twice more", (dict: StateDict) => dict.param_groups.push(dict.param_groups[0]!)],
  ].map(([what, damage]) => ({ what, damage, expected: mismatch("param_groups") }) as Case),
  {
    what: "one group twice instead of another",
    damage: ({ param_groups }) => param_groups.splice(2, 1, param_groups[1]!),
    expected: mismatch("param_groups[2].params"),
  },
  {
    what: "a hole among the groups",
    damage: ({ param_groups }) => delete param_groups[1],
    expected: typeError("param_groups[1]"),
  },
  {
    what: "a name in another group",
    damage: ({ param_groups }) => param_groups[1]!.params.push(param_groups[0]!.params.pop()!),
    expected: mismatch(/^param_groups\[[01]\]\.params$/),
  },
];

/** A dict in which everything differs from what is, so that any part of it that is applied shows. */
function changed(optimizer: Optimizer): StateDict {
  const dict = structuredClone(optimizer.stateDict());
  for (const entry of Object.values(dict.state)) {
    entry.step += 16;
    for (const values of [entry.exp_avg, entry.exp_avg_sq, entry.max_exp_avg_sq]) values?.fill(0.625);
  }
  for (const group of dict.param_groups) {
    Object.assign(group, { lr: 0.375, betas: [0.25, 0.375], eps: 0.5, weight_decay: 0.75 });
    Object.assign(group, { maximize: !group.maximize, bias_correction: !group.bias_correction });
  }
  return dict;
}

it(`${CASES.length} kinds of damage are refused, by name, and nothing is loaded`, async () => {
  const twins = new Twins(sample);
  for (const { what, damage, expected } of CASES) {
    const load = (victim: Optimizer) => {
      const dict = changed(victim);
      damage(dict);
      victim.loadStateDict(dict);
    };
    await twins.refuses(load, expected, what);
  }
});

it("the dict that was damaged is a good one", () => {
  const [victim, expected] = [sample(), sample()];
  victim.loadStateDict(changed(expected));
  const { state, param_groups } = victim.stateDict();
  expect(state).toEqual(changed(expected).state);
  expect(param_groups).toEqual(changed(expected).param_groups);
});

it("an optimizer of another kind is refused", async () => {
  const other = AdamW.createSync([{ params: { a: dyadic(5, 1), b: dyadic(16, 1) } }, { params: { c: dyadic(3, 1) } }]);
  await new Twins(sample).refuses(
    (victim) => victim.loadStateDict(other.stateDict()),
    mismatch(/^(state|param_groups)/),
  );
  const flat = AdamW.createSync({ a: dyadic(5, 1), b: dyadic(16, 1), c: dyadic(3, 1), d: dyadic(18, 1) });
  await new Twins(sample).refuses(
    (victim) => victim.loadStateDict(flat.stateDict()),
    mismatch(/^(state|param_groups)/),
  );
});

describe("dicts that change while they are read", () => {
  /** Values that go bad, or come good, when they are read a second time. */
  function changing<T extends object>(target: T, key: keyof T, values: readonly unknown[]): () => number {
    let reads = 0;
    const get = () => values[Math.min(reads++, values.length - 1)];
    Object.defineProperty(target, key, { get, enumerable: true });
    return () => reads;
  }

  it("what is applied is what was checked: every value is read once", () => {
    const victim = sample();
    const dict = changed(victim);
    const expected = structuredClone(dict);
    const a: ParamState = dict.state.a!;
    const group: GroupState = dict.param_groups[0]!;
    const reads = [
      changing(a, "exp_avg", [a.exp_avg, new Float32Array(5).fill(NaN)]),
      changing(a, "exp_avg_sq", [a.exp_avg_sq, new Float32Array(5).fill(-1)]),
      changing(a, "step", [a.step, -1]),
      changing(group, "lr", [group.lr, NaN]),
      changing(group, "eps", [group.eps, "x"]),
      changing(group, "betas", [group.betas, [2, 2]]),
      changing(group, "params", [group.params, []]),
      changing(dict.state, "a", [a, null]),
      changing(dict, "param_groups", [dict.param_groups, null]),
      changing(dict, "state", [dict.state, null]),
    ];
    victim.loadStateDict(dict);
    expect(reads.map((count) => count())).toEqual(reads.map(() => 1));
    expect(victim.stateDict()).toEqual(expected);
  });

  it("bad at first is bad, whatever it would be later", async () => {
    const bad = (victim: Optimizer) => {
      const dict = changed(victim);
      const { a } = dict.state;
      changing(a!, "exp_avg", [new Float32Array(5).fill(NaN), a!.exp_avg]);
      victim.loadStateDict(dict);
    };
    await new Twins(sample).refuses(bad, nonFinite("state.a.exp_avg"));
  });

  /** A getter on the last entry to be read runs when the first has been checked. */
  function afterChecks(dict: StateDict, then: () => void): void {
    const { d } = dict.state;
    const get = () => {
      then();
      return d;
    };
    Object.defineProperty(dict.state, "d", { get, enumerable: true });
  }

  it("values overwritten while the dict is read are checked as they are then", async () => {
    const bad = (victim: AdamW) => {
      const dict = changed(victim);
      afterChecks(dict, () => dict.state.a!.exp_avg_sq.fill(-1));
      victim.loadStateDict(dict);
    };
    await new Twins(sample).refuses(bad, nonFinite("state.a.exp_avg_sq"));
  });

  it("values detached after they were checked: all is loaded, or nothing is", async () => {
    const victim = sample();
    const before = fingerprint(victim);
    const dict = changed(victim);
    const expected = structuredClone(dict);
    const { buffer } = dict.state.b!.exp_avg;
    afterChecks(dict, () => structuredClone(buffer, { transfer: [buffer] }));
    const error = await caught(() => {
      victim.loadStateDict(dict);
      throw new Error("loaded");
    });
    if ((error as Error).message === "loaded") expect(victim.stateDict()).toEqual(expected);
    else expectSamePrint(fingerprint(victim), before);
  });

  it("an array whose length property lies is no array of that length", async () => {
    const lying = (claimed: number, real: number) => (victim: Optimizer) => {
      const dict = changed(victim);
      dict.state.c!.exp_avg = Object.defineProperty(new Float32Array(real), "length", { value: claimed });
      victim.loadStateDict(dict);
    };
    await new Twins(sample).refuses(lying(3, 5), wrongLength("state.c.exp_avg"));
    await new Twins(sample).refuses(lying(3, 2), wrongLength("state.c.exp_avg"));
  });

  it("views of the optimizer's own moments are read before any is written", () => {
    const victim = AdamW.createSync({ a: dyadic(16, 1), b: dyadic(16, 2) });
    for (let step = 0; step < 3; step++) {
      fillGrads(victim, step);
      victim.step();
    }
    const before = victim.stateDict();
    const stride = victim.grad("a").byteOffset - victim.param("a").byteOffset;
    const momentOf = (name: string) =>
      new Float32Array(victim.memory.buffer, victim.param(name).byteOffset + 2 * stride, 16);
    expectSameBits("where exp_avg lies", momentOf("b"), before.state.b!.exp_avg);
    const dict = victim.stateDict();
    dict.state.a!.exp_avg = momentOf("b");
    dict.state.b!.exp_avg = momentOf("a");
    victim.loadStateDict(dict);
    const after = victim.stateDict();
    expectSameBits("a has what b had", after.state.a!.exp_avg, before.state.b!.exp_avg);
    expectSameBits("b has what a had", after.state.b!.exp_avg, before.state.a!.exp_avg);
  });

  it("an array of groups that iterates over something else is read one way only", async () => {
    const partial = (victim: Optimizer) => {
      const dict = changed(victim);
      const { param_groups } = dict;
      Object.defineProperty(param_groups, Symbol.iterator, { value: () => [param_groups[0]].values() });
      Object.defineProperty(param_groups[0]!.params, "entries", { value: 5 });
      victim.loadStateDict(dict);
    };
    const victim = sample();
    const before = fingerprint(victim);
    const expected = changed(victim);
    const error = (await caught(() => {
      partial(victim);
      throw new Error("loaded");
    })) as Error & { code?: string };
    if (error.message === "loaded") expect(victim.stateDict()).toEqual(expected);
    else {
      expect(error.code, String(error)).toMatch(/^ERR_/);
      expectSamePrint(fingerprint(victim), before);
    }
  });
});

it("a state of PyTorch's as it is: the error names what translates it", () => {
  const optimizer = AdamW.createSync({ w: { shape: [1] } });
  const { state, param_groups } = optimizer.stateDict();
  const torch = { state: { 0: state.w }, param_groups: [{ ...param_groups[0], params: [0] }] } as unknown as StateDict;
  expect(() => optimizer.loadStateDict(torch)).toThrow(
    '"param_groups[0].params[0]": expected a name (fromTorch gives PyTorch\'s states names), got 0',
  );
});
