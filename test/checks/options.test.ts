/** Every way a hyper-parameter can be wrong, through every way in. */
import { runInNewContext } from "node:vm";
import { Adam, type AdamOptions, AdamW, type ErrorCode, type StateDict } from "fused-adam";
import { describe, expect, it, vi } from "vitest";
import {
  caught,
  type Expected,
  expectError,
  polluted,
  rangeError,
  revoked,
  sample,
  Twins,
  typeError,
  wrong,
} from "../support/api.js";
import { dyadic, hyperOf, Model, type Optimizer } from "../support/model.js";

type Key = Exclude<keyof AdamOptions, "moments" | "grads" | "copies">;
/** The value, and what is expected of the error's label behind the option's own. */
type Bad = [value: unknown, expected: (label: string) => Expected];

const type =
  (suffix = "") =>
  (label: string) =>
    typeError(label + suffix);
const range =
  (suffix = "") =>
  (label: string) =>
    rangeError(label + suffix);

const NO_NUMBER: Bad[] = ["0.001", "", null, true, false, 1n, [], [0.1], {}, Symbol("x"), new Date(0)].map((value) => [
  value,
  type(),
]);
const NO_AMOUNT: Bad[] = [NaN, Infinity, -Infinity, -1, -5e-324].map((value) => [value, range()]);
const NO_BOOLEAN: Bad[] = [0, 1, "true", "", null, 1n, [], {}, () => true].map((value) => [value, type()]);

const BAD: Record<Key, Bad[]> = {
  lr: [...NO_NUMBER, ...NO_AMOUNT],
  eps: [...NO_NUMBER, ...NO_AMOUNT, [() => 1e-8, type()]],
  weightDecay: [...NO_NUMBER, ...NO_AMOUNT],
  amsgrad: NO_BOOLEAN,
  maximize: NO_BOOLEAN,
  biasCorrection: NO_BOOLEAN,
  betas: [
    ...[null, 0.9, "0.9,0.999", true, 1n, {}, { 0: 0.9, 1: 0.999, length: 2 }, new Float64Array([0.9, 0.999])].map(
      (value): Bad => [value, type()],
    ),
    ...[[], [0.9], [0.9, 0.999, 0.5]].map((value): Bad => [value, range()]),
    ...[1, -0.1, NaN, Infinity, -Infinity, 1.5, -5e-324].flatMap((beta): Bad[] => [
      [[beta, 0.999], range("[0]")],
      [[0.9, beta], range("[1]")],
    ]),
    ...["0.9", null, undefined, true, 1n, [0.9], {}].flatMap((beta): Bad[] => [
      [[beta, 0.999], type("[0]")],
      [[0.9, beta], type("[1]")],
    ]),
    [new Array(2), type("[0]")],
    [Object.assign(new Array(2), { 0: 0.9 }), type("[1]")],
  ],
};
const KEYS = Object.keys(BAD) as Key[];

const TORCH_KEYS: Record<Key, string> = {
  lr: "lr",
  betas: "betas",
  eps: "eps",
  weightDecay: "weight_decay",
  amsgrad: "amsgrad",
  maximize: "maximize",
  biasCorrection: "bias_correction",
};

interface Entry {
  readonly prefix: string;
  readonly call: (victim: Optimizer, key: Key, value: unknown) => unknown;
  readonly torch?: boolean;
}

const params = () => ({ w: dyadic(3, 1) });
const live = (optimizer: Optimizer, i = 0): object => optimizer.paramGroups[i]!;
const assign = (optimizer: Optimizer, i: number, key: Key, value: unknown) => {
  Object.assign(live(optimizer, i), { [key]: value });
};

const ENTRIES: Record<string, Entry> = {
  "AdamW.create": { prefix: "", call: (_, key, value) => AdamW.create(params(), { [key]: value }) },
  "Adam.createSync": { prefix: "", call: (_, key, value) => Adam.createSync(params(), { [key]: value }) },
  "a group given to create": {
    prefix: "params[1].",
    call: (_, key, value) => AdamW.createSync([{ params: params() }, { params: [dyadic(2, 1)], [key]: value }]),
  },
  addParamGroup: {
    prefix: "group.",
    call: (victim, key, value) => victim.addParamGroup({ params: { fresh: dyadic(40000, 1) }, [key]: value }),
  },
  "assignment to paramGroups[1]": {
    prefix: "",
    call: (victim, key, value) => assign(victim, 1, key, value),
  },
  loadStateDict: {
    prefix: "param_groups[1].",
    torch: true,
    call: (victim, key, value) => {
      const dict = victim.stateDict();
      // The rest of the dict differs from what is: a partial load would show.
      for (const group of dict.param_groups) Object.assign(group, { eps: 0.5, lr: 0.25, betas: [0.1, 0.2] });
      for (const entry of Object.values(dict.state)) {
        entry.step += 5;
        entry.exp_avg.fill(0.5);
      }
      Object.assign(dict.param_groups[1]!, { [TORCH_KEYS[key]]: value });
      victim.loadStateDict(dict);
    },
  },
};

describe.each(Object.entries(ENTRIES))("through %s", (_, { prefix, call, torch }) => {
  it.each(KEYS)("%s: every illegal value is refused and changes nothing", async (key) => {
    const twins = new Twins(sample);
    const label = prefix + (torch ? TORCH_KEYS[key] : key);
    for (const [value, expected] of BAD[key]) {
      await twins.refuses((victim) => call(victim, key, value), expected(label), `${label} = ${String(value)}`);
    }
  });
});

it("a state dict holds rates, not schedules", async () => {
  const bad = (value: unknown) => (victim: Optimizer) => {
    const dict = victim.stateDict();
    Object.assign(dict.param_groups[2]!, { lr: value });
    victim.loadStateDict(dict);
  };
  await new Twins(sample).refuses(
    bad(() => 0.1),
    typeError("param_groups[2].lr"),
  );
});

describe("what is legal is not refused", () => {
  it.each([
    { lr: 0 },
    { lr: -0 },
    { lr: 1e300 },
    { lr: 5e-324 },
    { betas: [0, 0] },
    { betas: [1 - 2 ** -53, 1 - 2 ** -53] },
    { eps: 0 },
    { eps: 1e300 },
    { weightDecay: 0 },
    { weightDecay: 1e300 },
  ] as AdamOptions[])("%j", (options) => {
    const key = Object.keys(options)[0] as Key;
    const optimizer = AdamW.createSync(params(), options);
    expect(optimizer.paramGroups[0]![key]).toEqual(options[key]);
    assign(optimizer, 0, key, options[key]);
    optimizer.addParamGroup({ params: { v: dyadic(2, 1) }, ...options });
    optimizer.loadStateDict(optimizer.stateDict());
    expect(optimizer.step().step).toBe(1);
  });
});

describe("options that are not there", () => {
  /** What an optimizer with PyTorch's defaults does, to tell whether another one has them. */
  function expectDefaults(optimizer: Optimizer, mode: "adam" | "adamw"): void {
    const model = new Model(mode, params());
    for (let step = 0; step < 3; step++) {
      model.fillGrads(optimizer, step);
      expect(optimizer.step()).toEqual(model.step());
    }
    model.expectSame(optimizer);
  }

  const POLLUTION = {
    ...{ lr: 5, betas: [0.1, 0.1], eps: 3, weightDecay: 7, amsgrad: true, maximize: true, biasCorrection: false },
    ...{ kernel: "nonsense", threads: -1, memory: 5, shape: [1], data: "x", params: {}, param: 3, grad: 3 },
    ...{ clipNorm: 1e-3, gradScale: 9, skipNonFinite: true, zeroGrad: true, skip: ["w"], max_exp_avg_sq: 1, step: 9 },
    // What a host reads in a descriptor of its own.
    ...{ initial: 9, maximum: 2, shared: true, env: {}, abort: 0, code: 1, cause: 1, name: "x", type: "module" },
  };
  /** With these even Node's own modules do not load. */
  const DESCRIPTORS = { get: () => 1, set: () => {}, value: 1, writable: false };

  it.each(["adam", "adamw"] as const)("undefined means the default, given alone or spread: %s", (mode) => {
    const Class = mode === "adam" ? Adam : AdamW;
    const nothing: AdamOptions = Object.fromEntries(KEYS.map((key) => [key, undefined]));
    expectDefaults(Class.createSync(params(), undefined), mode);
    expectDefaults(Class.createSync(params()), mode);
    expectDefaults(Class.createSync(params(), { ...nothing, kernel: undefined, threads: undefined }), mode);
    expectDefaults(Class.createSync(params(), { ...nothing, memory: undefined }), mode);
    expectDefaults(Class.createSync([{ params: params(), ...nothing }]), mode);
    expectDefaults(Class.createSync({ w: { shape: [3], data: params().w } }, nothing), mode);
  });

  it("in a group, undefined means what the optimizer has", () => {
    const group = { params: params(), lr: undefined, betas: undefined, weightDecay: undefined };
    const options = { lr: 0.5, betas: [0.25, 0.5], weightDecay: 0.75 } as const;
    const optimizer = AdamW.createSync([group], options);
    optimizer.addParamGroup({ params: { v: dyadic(1, 1) }, lr: undefined, betas: undefined });
    for (const i of [0, 1]) expect(live(optimizer, i)).toMatchObject(options);
  });

  it("undefined step options are as none", () => {
    const options = { clipNorm: undefined, gradScale: undefined, skipNonFinite: undefined, zeroGrad: undefined };
    const optimizer = AdamW.createSync(params());
    const model = new Model("adamw", params());
    model.fillGrads(optimizer, 1);
    expect(optimizer.step({ ...options, skip: undefined })).toStrictEqual(model.step());
    model.expectSame(optimizer);
  });

  it("inherited options are none, and a warning says so, once", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    class Options {
      get lr() {
        return 5;
      }
      readonly eps = 1e-8;
    }
    for (const _ of [1, 2]) expectDefaults(AdamW.createSync(params(), new Options()), "adamw");
    expect(warn.mock.calls).toEqual([['fused-adam: "options": only own properties count, not the inherited lr']]);
    warn.mockClear();
    const optimizer = AdamW.createSync(params());
    for (const _ of [1, 2]) optimizer.step(Object.create({ clipNorm: 0, zeroGrad: true }));
    expect(warn.mock.calls).toEqual([
      ['fused-adam: "options": only own properties count, not the inherited clipNorm, zeroGrad'],
    ]);
    warn.mockRestore();
  });

  it("inherited options are none, whatever they are", () => {
    const inherited = Object.create({ ...POLLUTION, params: params() });
    expectDefaults(AdamW.createSync(params(), inherited), "adamw");
    expectDefaults(AdamW.createSync([Object.assign(Object.create({ lr: 5, eps: 1 }), { params: params() })]), "adamw");

    const optimizer = AdamW.createSync(params());
    const model = new Model("adamw", params());
    model.fillGrads(optimizer, 1);
    expect(optimizer.step(inherited)).toStrictEqual(model.step());
    model.expectSame(optimizer);
  });

  it("inherited parameters, shapes and state dicts are none", async () => {
    const twins = new Twins(sample);
    const inherit = (value: object) => Object.create(value) as never;
    await twins.refuses(() => AdamW.createSync(inherit(params())), rangeError("params", "ERR_EMPTY_PARAMS"));
    await twins.refuses(() => AdamW.createSync({ w: inherit({ shape: [2] }) }), typeError("params.w.shape"));
    await twins.refuses((victim) => victim.addParamGroup(inherit({ params: params() })), typeError("group.params"));
    await twins.refuses(
      (victim) => victim.loadStateDict(inherit(victim.stateDict())),
      typeError(/^(param_groups|state)$/),
    );
    const ofState = (victim: Optimizer): StateDict => ({
      ...victim.stateDict(),
      state: inherit(victim.stateDict().state),
    });
    await twins.refuses((victim) => victim.loadStateDict(ofState(victim)), rangeError("state", "ERR_STATE_MISMATCH"));
  });

  it("a polluted Object.prototype sets nothing", async () => {
    // Nothing but the package's own code runs on the polluted prototype.
    const grad = dyadic(3, 2);
    const run = (optimizer: Optimizer) => {
      optimizer.grad("w").set(grad);
      const result = optimizer.step({});
      const state = optimizer.stateDict();
      optimizer.loadStateDict(state);
      optimizer.addParamGroup({ params: { v: grad } });
      const { lr, betas, eps, weightDecay, amsgrad, maximize, biasCorrection } = optimizer.paramGroups[1]!;
      const added = { lr, betas, eps, weightDecay, amsgrad, maximize, biasCorrection };
      return { optimizer, result, state, added };
    };
    const runs: ReturnType<typeof run>[] = [];
    await polluted(POLLUTION, async () => {
      runs.push(run(AdamW.createSync(params())));
      runs.push(run(await AdamW.create({ w: { shape: [3], data: params().w } }, {})));
      runs.push(run(AdamW.createSync([{ params: params() }])));
    });

    for (const { optimizer, result, state, added } of runs) {
      const model = new Model("adamw", params());
      model.at("w").grad.set(grad);
      expect(result).toStrictEqual(model.step());
      expect(Object.keys(state.state.w!)).toEqual(["step", "exp_avg", "exp_avg_sq"]);
      expect(added).toStrictEqual(hyperOf("adamw"));
      model.add({ v: grad }).at("v").grad.fill(0);
      model.expectSame(optimizer);
    }
  });

  it("nor does one that spoils every descriptor: creation, state and errors stay what they are", async () => {
    let optimizer: Optimizer | undefined;
    let error: unknown;
    await polluted({ ...POLLUTION, ...DESCRIPTORS }, () => {
      optimizer = AdamW.createSync(params());
      optimizer.paramGroups[0]!.lr = 0.5;
      optimizer.loadStateDict(optimizer.stateDict());
      try {
        optimizer.step({ clipNorm: -1 });
      } catch (thrown) {
        error = thrown;
      }
    });
    expectError(error, rangeError("clipNorm"));
    expect(optimizer!.paramGroups[0]!.lr).toBe(0.5);
    expect(Object.keys(optimizer!.stateDict().state)).toEqual(["w"]);
    expect(optimizer!.memory.buffer).toBeInstanceOf(ArrayBuffer);
  });
});

describe("unknown options", () => {
  const unknown = (label: string) => typeError(label, "ERR_UNKNOWN_OPTION");
  const CALLS: [string, string, (victim: Optimizer, key: string) => unknown][] = [
    ["create", "options", (_, key) => AdamW.create(params(), { [key]: 1 })],
    ["createSync", "options", (_, key) => Adam.createSync(params(), { [key]: 1 })],
    ["a group", "params[0]", (_, key) => AdamW.createSync(wrong([{ params: params(), [key]: 1 }]))],
    ["addParamGroup", "group", (victim, key) => victim.addParamGroup(wrong({ params: params(), [key]: 1 }))],
    ["step", "options", (victim, key) => victim.step({ [key]: 1 })],
    ["stepAsync", "options", (victim, key) => victim.stepAsync({ [key]: 1 })],
    ["a shape", "params.w", (_, key) => AdamW.createSync(wrong({ w: { shape: [2], [key]: 1 } }))],
    ["loadStateDict", "state_dict", (victim, key) => victim.loadStateDict(wrong({ ...victim.stateDict(), [key]: 1 }))],
  ];
  it.each(CALLS)("%s", async (_, label, call) => {
    const twins = new Twins(sample);
    // A misspelling, PyTorch's spelling, and names that every object knows.
    for (const key of ["learningRate", "weight_decay", "__proto__", "constructor"]) {
      // Computed, so that "__proto__" becomes a key and not the prototype.
      await twins.refuses((victim) => call(victim, key), unknown(label), key);
    }
  });

  it.each([
    ["learningRate", "lr"],
    ["learning_rate", "lr"],
    ["weight_decay", "weightDecay"],
    ["weightdecay", "weightDecay"],
    ["weightDeacy", "weightDecay"],
    ["beta1", "betas"],
    ["beta", "betas"],
    ["epsilon", "eps"],
    ["ams_grad", "amsgrad"],
    ["thread", "threads"],
    ["kernal", "kernel"],
    ["momentum", undefined],
    ["constructor", undefined],
    ["x", undefined],
    ["l", undefined],
  ])("%s: %s is meant", async (key, meant) => {
    const error = await caught(() => AdamW.createSync(params(), { [key]: 1 }));
    expect((error as Error).message.split(", got ")[1]).toBe(
      `the key "${key}"${meant === undefined ? "" : ` (did you mean "${meant}"?)`}`,
    );
  });

  it("only options of the call are meant: clipNorm is none of create's, lr none of step's", async () => {
    const message = async (call: () => unknown) => ((await caught(call)) as Error).message;
    expect(await message(() => AdamW.createSync(params(), wrong({ clip_norm: 1 })))).not.toContain("did you mean");
    expect(await message(() => sample().step(wrong({ learningRate: 1 })))).not.toContain("did you mean");
    expect(await message(() => sample().step(wrong({ clipnorm: 1 })))).toMatch(/\(did you mean "clipNorm"\?\)$/);
  });

  it("a name that no parameter has: the error lists those there are", () => {
    const optimizer = AdamW.createSync({ weight: { shape: [1] }, bias: { shape: [1] } });
    for (const call of [() => optimizer.param("weigth"), () => optimizer.step({ skip: ["weigth"] })]) {
      expect(call).toThrow(/: expected the name of a parameter: weight, bias, got the string "weigth"$/);
    }
  });

  const NO_OPTIONS: [got: string, value: unknown][] = [
    ["null", null],
    ["5", 5],
    ['the string "x"', "x"],
    ["true", true],
    ["an array of length 0", []],
    ["an array of length 1", [{}]],
    ["a function", () => ({})],
    ["1n", 1n],
    // Without own properties these would pass for an object that leaves everything out.
    ["a Float32Array", new Float32Array(2)],
    ["a Map", new Map([["lr", 5]])],
    ["a Set", new Set(["lr"])],
    ["a Promise (is an await missing?)", Promise.resolve({ lr: 5 })],
    ["a URLSearchParams", new URLSearchParams("lr=5")],
    ["a Map", runInNewContext("new Map()")],
    ["an object that cannot be read", revoked()],
  ];
  it.each(NO_OPTIONS)("options that are none: %s", async (got, value) => {
    const twins = new Twins(sample);
    const options = wrong<Record<string, never>>(value);
    const refuses = async (label: string, call: (victim: Optimizer) => unknown) => {
      await twins.refuses(call, typeError(label));
      const { message } = (await caught(() => call(twins.twin))) as Error;
      expect(message).toBe(`"${label}": expected an object, got ${got}`);
    };
    await refuses("options", () => AdamW.create(params(), options));
    await refuses("options", () => Adam.createSync(params(), options));
    await refuses("options", (victim) => victim.step(options));
    await refuses("options", (victim) => victim.stepAsync(options));
    await refuses("group", (victim) => victim.addParamGroup(wrong(value)));
    await refuses("state_dict", (victim) => victim.loadStateDict(wrong(value)));
  });

  it("revoked Proxies are refused wherever they stand", async () => {
    const twins = new Twins(sample);
    const dict = (change: object) => (victim: Optimizer) => victim.loadStateDict({ ...victim.stateDict(), ...change });
    const proxy = wrong<never>(revoked());
    await twins.refuses(() => AdamW.createSync(params(), { betas: proxy }), typeError("betas"));
    await twins.refuses(() => AdamW.createSync(params(), { memory: proxy }), typeError("memory"));
    await twins.refuses(() => AdamW.createSync([proxy]), typeError("params.0"));
    await twins.refuses((victim) => victim.step({ skip: proxy }), typeError("skip"));
    await twins.refuses((victim) => victim.step({ skip: [proxy] }), typeError("skip"));
    await twins.refuses((victim) => victim.param(proxy), typeError("name"));
    await twins.refuses((victim) => assign(victim, 0, "betas", proxy), typeError("betas"));
    await twins.refuses(dict({ param_groups: proxy }), typeError("param_groups"));
    await twins.refuses(dict({ param_groups: [proxy, proxy, proxy] }), typeError("param_groups[0]"));
    await twins.refuses(dict({ state: proxy }), typeError("state"));
    await twins.refuses(dict({ state: { a: proxy, b: proxy, c: proxy, d: proxy } }), typeError("state.a"));
  });
});

describe("errors", () => {
  it("create rejects and does not throw; createSync throws", async () => {
    const promise = AdamW.create(params(), { lr: -1 });
    expectError(await caught(() => promise), rangeError("lr"));
    expect(() => AdamW.createSync(params(), { lr: -1 })).toThrow(RangeError);
  });

  it("a code can be asked for by name, and all of them are exported as a type", async () => {
    const error = (await caught(() => AdamW.createSync(params(), { lr: -1 }))) as { code: ErrorCode };
    expect(Object.keys(error)).toContain("code");
    // Compiles only while these are codes.
    const known: readonly ErrorCode[] = ["ERR_OUT_OF_RANGE", "ERR_INVALID_TYPE", "ERR_UNKNOWN_OPTION", "ERR_BUSY"];
    expect(known).toContain(error.code);
  });

  it("the message tells the label, what was expected and what came", async () => {
    const message = async (call: () => unknown) => ((await caught(call)) as Error).message;
    expect(await message(() => AdamW.createSync(params(), { lr: -1 }))).toMatch(/^"lr": expected .*>= 0.*, got -1$/);
    const text = wrong<number>("0.001");
    expect(await message(() => AdamW.createSync(params(), { eps: text }))).toMatch(/^"eps": .*number.*"0\.001"/);
  });
});
