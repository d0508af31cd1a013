/** Calls with arguments that are wrong: step options, names, schedules, kernels and threads. */
import { Adam, AdamW, type ErrorCode, preload, type StateDict, type StepOptions } from "fused-adam";
import { describe, expect, it } from "vitest";
import {
  caught,
  detach,
  type Expected,
  expectError,
  rangeError,
  resizable,
  sample,
  stateError,
  Twins,
  typeError,
  wrong,
} from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { wasmBytes } from "../support/wasm.js";

const unknownName = stateError(/^(name|skip)/, "ERR_UNKNOWN_NAME");

const NO_NUMBER = ["1", "", null, true, false, 1n, [], [1], {}, Symbol("x"), () => 1];
const NO_BOOLEAN = [0, 1, "true", "", null, 1n, [], {}, () => true];
const bad = (key: string, values: unknown[], expected: Expected) => values.map((value) => ({ key, value, expected }));

const BAD_OPTIONS = [
  ...bad("clipNorm", NO_NUMBER, typeError("clipNorm")),
  ...bad("clipNorm", [NaN, Infinity, -Infinity, -1, -5e-324], rangeError("clipNorm")),
  ...bad("gradScale", NO_NUMBER, typeError("gradScale")),
  ...bad("gradScale", [0, -0, NaN, Infinity, -Infinity, -1, -5e-324], rangeError("gradScale")),
  ...bad("skipNonFinite", NO_BOOLEAN, typeError("skipNonFinite")),
  ...bad("zeroGrad", NO_BOOLEAN, typeError("zeroGrad")),
  // A string is an iterable of strings; here it is a list that was forgotten.
  ...bad("skip", ["a", "", null, 1, true, {}, { 0: "a", length: 1 }, () => ["a"]], typeError("skip")),
  ...bad("skip", [[1], ["a", null], [undefined], new Array(1), new Map([["a", 1]]), [["a"]]], typeError("skip")),
  ...bad("gradNorm", NO_NUMBER, typeError("gradNorm")),
  ...bad("gradNorm", [-1, -5e-324, -Infinity], rangeError("gradNorm")),
  ...bad("skip", [["A"], ["a", "b", "e"], [""], ["0"], ["toString"], new Set(["a", "__proto__"])], unknownName),
];

describe("step options", () => {
  it.each(["step", "stepAsync"] as const)("%s refuses every illegal value and changes nothing", async (method) => {
    const twins = new Twins(sample);
    for (const { key, value, expected } of BAD_OPTIONS) {
      const context = `${key}: ${typeof value} ${Array.isArray(value) ? `[${value}]` : String(value)}`;
      // The others ask for as much as they can, with a gradient that would skip the step.
      const rest = { clipNorm: 1, gradScale: 2, skipNonFinite: true, zeroGrad: true, skip: ["b"] };
      for (const others of [{}, rest]) {
        const options = wrong<StepOptions>({ ...others, [key]: value });
        const call = (victim: Optimizer) => {
          victim.grad("a")[0] = NaN;
          return victim[method](options);
        };
        await twins.refuses((victim) => withGrad(victim, () => call(victim)), expected, context);
      }
    }
  });

  it("an iterator that cannot be called or gives none is no iterable", async () => {
    const twins = new Twins(sample);
    for (const iterator of [5, undefined, null, "x", {}]) {
      const skip = wrong<string[]>({ [Symbol.iterator]: iterator });
      await twins.refuses((victim) => victim.step({ skip }), typeError("skip"), `iterator ${iterator}`);
    }
  });

  it("what an iterable or a getter throws comes through, and changes nothing", async () => {
    const twins = new Twins(sample);
    const own = Object.assign(new Error(`"mine": expected this, got thrown`), { code: "ERR_BUSY" as const });
    function* names(): Iterable<string> {
      yield "a";
      throw own;
    }
    const getter: StepOptions = {
      get zeroGrad(): boolean {
        throw own;
      },
    };
    for (const options of [{ skip: names() }, getter]) {
      await twins.refuses((victim) => victim.step(options), stateError("mine", "ERR_BUSY"));
      expect(await caught(() => twins.victim.step({ ...options, skip: names() }))).toBe(own);
    }
  });
});

describe("sumOfSquares", () => {
  it("refuses what step refuses of gradScale and skip, and all of its other options", async () => {
    const twins = new Twins(sample);
    const taken = BAD_OPTIONS.filter(({ key }) => key === "gradScale" || key === "skip");
    expect(taken.length).toBeGreaterThan(20);
    for (const { key, value, expected } of taken) {
      await twins.refuses((victim) => victim.sumOfSquares(wrong({ [key]: value })), expected, `${key} ${typeof value}`);
    }
    const unknown = typeError("options", "ERR_UNKNOWN_OPTION");
    for (const key of ["clipNorm", "skipNonFinite", "zeroGrad", "gradNorm", "gradscale"]) {
      await twins.refuses((victim) => victim.sumOfSquares(wrong({ [key]: 1 })), unknown, key);
    }
    for (const options of [null, 1, "a", []]) {
      await twins.refuses((victim) => victim.sumOfSquares(wrong(options)), typeError("options"));
    }
  });
});

describe("setGrad", () => {
  it("refuses other types, lengths and names, and detached or shrunken buffers", async () => {
    const twins = new Twins(sample);
    const set =
      (values: unknown, name: unknown = "a") =>
      (victim: Optimizer) =>
        victim.setGrad(wrong(name), wrong(values));
    for (const values of [
      null,
      undefined,
      1,
      [1, 2, 3, 4, 5],
      new Float64Array(5),
      new Uint16Array(5),
      new Int32Array(5),
    ]) {
      await twins.refuses(set(values), typeError("values"), String(values));
    }
    for (const length of [0, 4, 6, 16]) {
      const expected = rangeError("values", "ERR_SHAPE_MISMATCH");
      await twins.refuses(set(new Float32Array(length)), expected, String(length));
    }
    for (const values of [detach(new Float32Array(5)), shrunken()]) {
      await twins.refuses(set(values), typeError("values", "ERR_DETACHED_BUFFER"));
    }
    for (const name of ["", "A", "toString", "__proto__"])
      await twins.refuses(set(new Float32Array(5), name), unknownName);
    for (const name of [undefined, null, 0, ["a"]])
      await twins.refuses(set(new Float32Array(5), name ?? null), typeError("name"));
  });
});

function shrunken(): Float32Array {
  const buffer = resizable(20, 40);
  const values = new Float32Array(buffer, 0, 5);
  buffer.resize(16);
  return values;
}

/** Puts the first gradient back afterwards: what a call is given to read is not what it changes. */
async function withGrad(victim: Optimizer, call: () => unknown): Promise<void> {
  const grad = victim.grad("a");
  const before = grad[0]!;
  const others = grad.slice(1);
  try {
    await call();
  } finally {
    expect(grad[0], "the gradient was not zeroed").toBeNaN();
    expect(grad.slice(1)).toEqual(others);
    grad[0] = before;
  }
}

describe("names", () => {
  it("that no parameter has", async () => {
    const twins = new Twins(sample);
    for (const name of ["", "A", "e", "0", "toString", "__proto__", "a ", "constructor"]) {
      await twins.refuses((victim) => victim.param(name), unknownName, name);
      await twins.refuses((victim) => victim.grad(name), unknownName, name);
    }
  });

  it("that are no strings", async () => {
    const twins = new Twins(sample);
    for (const name of [undefined, null, 0, 1n, Symbol("a"), ["a"], { toString: () => "a" }, new String("a")]) {
      await twins.refuses((victim) => victim.param(wrong(name)), typeError("name"));
      await twins.refuses((victim) => victim.grad(wrong(name)), typeError("name"));
    }
  });
});

describe("schedules", () => {
  /** What the third group's schedule returns, or throws, during a call. The groups before it must not have moved by then. */
  let instead: { value: unknown } | { thrown: Error } | undefined;
  const schedule = (step: number) => {
    if (instead === undefined) return 0.5 / step;
    if ("thrown" in instead) throw instead.thrown;
    return wrong<number>(instead.value);
  };
  const scheduled = () => {
    const optimizer = sample();
    optimizer.paramGroups[2]!.lr = schedule;
    return optimizer;
  };
  const during = async (what: typeof instead, call: () => unknown) => {
    instead = what;
    try {
      await call();
    } finally {
      instead = undefined;
    }
  };
  const options: StepOptions = { clipNorm: 1, zeroGrad: true, gradScale: 2, skipNonFinite: true };

  it("a value that is no rate is refused at that step, and names it", async () => {
    const twins = new Twins(scheduled);
    let step = 2;
    for (const value of [NaN, Infinity, -Infinity, -1, -5e-324, "0.1", null, undefined, true, 1n, [], {}, () => 0.1]) {
      const Class = typeof value === "number" ? rangeError : typeError;
      for (const call of ["step", "stepAsync"] as const) {
        const expected = Class(`lr(${step + 1})`);
        await twins.refuses((victim) => during({ value }, () => victim[call](options)), expected, String(value));
        step += 1;
      }
    }
  });

  it("what it throws comes through", async () => {
    const thrown = Object.assign(new RangeError(`"mine": expected this, got thrown`), { code: "ERR_OUT_OF_RANGE" });
    const twins = new Twins(scheduled);
    for (const call of ["step", "stepAsync"] as const) {
      await twins.refuses((victim) => during({ thrown }, () => victim[call](options)), rangeError("mine"));
      expect(await caught(() => during({ thrown }, () => twins.victim[call]()))).toBe(thrown);
    }
  });

  it("bad from the start: the first step fails, and so does reading its value at 1", async () => {
    const optimizer = AdamW.createSync([dyadic(3, 1)], { lr: () => NaN });
    optimizer.grad("0").fill(1);
    const bits = optimizer.param("0").slice();
    expectError(await caught(() => optimizer.step({ zeroGrad: true })), rangeError("lr(1)"));
    expectError(await caught(() => optimizer.stateDict()), rangeError("lr(1)"));
    expect(optimizer.param("0")).toEqual(bits);
    expect(optimizer.grad("0")).toEqual(new Float32Array(3).fill(1));
    optimizer.paramGroups[0]!.lr = 0.5;
    expect(optimizer.step()).toEqual({ step: 1, skipped: false });
  });
});

describe("kernels and threads", () => {
  const create = (options: object) => [
    () => AdamW.create([dyadic(2, 1)], options),
    () => Adam.createSync([dyadic(2, 1)], options),
  ];

  it("that are none", async () => {
    for (const kernel of ["gpu", "", "SIMD", "Auto", "toString"]) {
      for (const call of create({ kernel })) expectError(await caught(call), rangeError("kernel"), kernel);
    }
    for (const kernel of [null, 1, true, ["simd"], { toString: () => "simd" }]) {
      for (const call of create({ kernel })) expectError(await caught(call), typeError("kernel"), String(kernel));
    }
    for (const threads of [0, -1, 1.5, NaN, Infinity, 1025, 10_000, 2 ** 53]) {
      for (const call of create({ threads })) expectError(await caught(call), rangeError("threads"), String(threads));
    }
    for (const threads of [null, true, 2n, [2], {}, () => 2]) {
      for (const call of create({ threads })) expectError(await caught(call), typeError("threads"), String(threads));
    }
    for (const threads of ["2", "", "AUTO"]) {
      for (const call of create({ threads })) expectError(await caught(call), typeError("threads"), threads);
    }
  });

  it("relaxed, where the engine has none, is an Error; where it has, it runs", async () => {
    await preload({ kernel: "relaxed" });
    for (const call of create({ kernel: "relaxed" })) {
      if (WebAssembly.validate(wasmBytes("relaxed"))) expect((await call()).kernel).toBe("relaxed");
      else expectError(await caught(call), stateError("kernel", "ERR_KERNEL_UNAVAILABLE"));
    }
  });
});

it("every code of the type can happen", async () => {
  const one = { length: 1, param: 1024, grad: 1028, expAvg: 1032, expAvgSq: 1036 };
  const memory = new WebAssembly.Memory({ initial: 1 });
  const at = (pointers: object) => () => AdamW.createSync({ w: { ...one, ...pointers } }, { memory });
  const dict = (change: (state: StateDict) => unknown) => (victim: Optimizer) => {
    const state = victim.stateDict();
    change(state);
    victim.loadStateDict(state);
  };
  const gone = dyadic(1, 1);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  const CODES = {
    ERR_INVALID_TYPE: () => AdamW.createSync(wrong(5)),
    ERR_UNKNOWN_OPTION: (victim) => victim.step(wrong({ clipnorm: 1 })),
    ERR_OUT_OF_RANGE: (victim) => victim.step({ clipNorm: -1 }),
    ERR_EMPTY_PARAMS: () => AdamW.createSync({}),
    ERR_EMPTY_NAME: () => AdamW.createSync({ "": gone }),
    ERR_DUPLICATE_NAME: (victim) => victim.addParamGroup({ params: { a: dyadic(1, 1) } }),
    ERR_UNKNOWN_NAME: (victim) => victim.param("?"),
    ERR_SHAPE_MISMATCH: () => AdamW.createSync([{ shape: [2], data: dyadic(1, 1) }]),
    ERR_DETACHED_BUFFER: () => AdamW.createSync([gone]),
    ERR_MISALIGNED: at({ param: 1021 }),
    ERR_OUT_OF_BOUNDS: at({ param: 65536 }),
    ERR_OVERLAP: at({ param: 1028 }),
    ERR_OUT_OF_MEMORY: () => AdamW.createSync([{ shape: [2 ** 31] }]),
    ERR_STATE_MISMATCH: dict(({ state }) => delete state.a),
    ERR_NON_FINITE: dict(({ state }) => state.a!.exp_avg.fill(NaN)),
    ERR_STEP_LIMIT: (victim) => {
      dict(({ state }) => Object.assign(state.a!, { step: Number.MAX_SAFE_INTEGER }))(victim);
      victim.step();
    },
    ERR_FIXED_OPTION: (victim) => Object.assign(victim.paramGroups[0]!, { amsgrad: true }),
    ERR_BUSY: (victim) => {
      victim.paramGroups[0]!.lr = () => victim.step().step;
      victim.step();
    },
    ERR_DISPOSED: (victim) => {
      victim.dispose();
      victim.step();
    },
  } satisfies Partial<Record<ErrorCode, (victim: Optimizer) => unknown>> as Record<
    string,
    (victim: Optimizer) => unknown
  >;
  for (const [code, call] of Object.entries(CODES)) {
    const error = (await caught(() => call(sample()), code)) as { code: string };
    expect(error.code, String(error)).toBe(code);
  }
});
