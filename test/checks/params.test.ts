/** Every way a parameter can be wrong, through every way in. */
import { Adam, AdamW, type ParamSet } from "fused-adam";
import { describe, expect, it, vi } from "vitest";
import {
  caught,
  detach,
  type Expected,
  rangeError,
  resizable,
  revoked,
  sample,
  Twins,
  typeError,
  wrong,
} from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";

const unknownKey = (label: string) => typeError(label, "ERR_UNKNOWN_OPTION");
const detached = (label: string) => typeError(label, "ERR_DETACHED_BUFFER");
const mismatch = (label: string) => rangeError(label, "ERR_SHAPE_MISMATCH");

/** How the parameters get in, and what stands before their names in a label. */
const ENTRIES: Record<string, [prefix: string, call: (victim: Optimizer, params: ParamSet) => unknown]> = {
  "AdamW.create": ["params", (_, params) => AdamW.create(params)],
  "Adam.createSync": ["params", (_, params) => Adam.createSync(params)],
  "a group given to create": [
    "params[1].params",
    (_, params) => AdamW.create([{ params: { first: dyadic(4, 1) } }, { params }]),
  ],
  addParamGroup: ["group.params", (victim, params) => victim.addParamGroup({ params, lr: 0.5, amsgrad: true })],
};

/** A window whose buffer has become too short for it. */
function shrunk(): Float32Array {
  const buffer = resizable(32, 64);
  const view = new Float32Array(buffer, 16, 4);
  buffer.resize(24);
  return view;
}

const NO_SOURCE: [what: string, source: unknown][] = [
  ["an array", [1, 2, 3]],
  ["an empty array", []],
  ["null", null],
  ["undefined", undefined],
  ["a number", 3],
  ["a string", "0123"],
  ["a boolean", true],
  ["a bigint", 1n],
  ["a symbol", Symbol("w")],
  ["a function", () => dyadic(3, 1)],
  ["a Float64Array", new Float64Array(3)],
  ["an Int32Array", new Int32Array(3)],
  ["a Uint8ClampedArray", new Uint8ClampedArray(4)],
  ["a BigInt64Array", new BigInt64Array(3)],
  ["a Buffer", Buffer.alloc(12)],
  ["a DataView", new DataView(new ArrayBuffer(12))],
];

/** What a source is, and the error's label behind the parameter's. */
const BAD: [what: string, source: () => unknown, expected: (label: string) => Expected][] = [
  ...NO_SOURCE.map(([what, source]): (typeof BAD)[number] => [what, () => source, typeError]),
  ["an object", () => ({}), (label) => typeError(`${label}.shape`)],
  ["an ArrayBuffer", () => new ArrayBuffer(12), typeError],
  ["a Map", () => new Map([["shape", [2]]]), typeError],
  ["a Promise", () => Promise.resolve(dyadic(2, 1)), typeError],
  ["a revoked Proxy", () => revoked(), typeError],
  ["a shape that is a revoked Proxy", () => ({ shape: revoked() }), (label) => typeError(`${label}.shape`)],
  ["data that are a revoked Proxy", () => ({ shape: [2], data: revoked() }), (label) => typeError(`${label}.data`)],
  [
    "an object with a typed array's name",
    () => ({ [Symbol.toStringTag]: "Float32Array" }),
    (l) => typeError(`${l}.shape`),
  ],
  ["a prototype's child", () => Object.create(Float32Array.prototype), (label) => typeError(`${label}.shape`)],
  ["an empty proxy", () => new Proxy(new Float32Array(0), {}), (label) => typeError(`${label}.shape`)],
  ["a proxy", () => new Proxy(new Float32Array(2), {}), (label) => typeError(label, "ERR_UNKNOWN_OPTION")],
  ["data without a shape", () => ({ data: dyadic(2, 1) }), (label) => typeError(`${label}.shape`)],
  ["an inherited shape", () => Object.create({ shape: [2] }), (label) => typeError(`${label}.shape`)],
  ...([3, "3", null, true, {}, { length: 1, 0: 2 }, new Float32Array([2]), new Int32Array([2])] as unknown[]).map(
    (shape): (typeof BAD)[number] => [`shape ${shape}`, () => ({ shape }), (label) => typeError(`${label}.shape`)],
  ),
  ...[-1, 1.5, NaN, Infinity, -Infinity, 2 ** 53, -0.5, 1e300].flatMap((size): typeof BAD => [
    [`shape [${size}]`, () => ({ shape: [size] }), (label) => rangeError(`${label}.shape[0]`)],
    [`shape [2, ${size}]`, () => ({ shape: [2, size] }), (label) => rangeError(`${label}.shape[1]`)],
    [`shape [0, ${size}]`, () => ({ shape: [0, size] }), (label) => rangeError(`${label}.shape[1]`)],
  ]),
  ...(["2", null, undefined, true, 1n, [2], {}] as unknown[]).map((size): (typeof BAD)[number] => [
    `a dimension that is ${String(size)}`,
    () => ({ shape: [3, size] }),
    (label) => typeError(`${label}.shape[1]`),
  ]),
  ["a shape with a hole", () => ({ shape: Object.assign(new Array(2), { 1: 2 }) }), (l) => typeError(`${l}.shape[0]`)],
  ...NO_SOURCE.filter(([, data]) => data !== undefined).map(([what, data]): (typeof BAD)[number] => [
    `shape and ${what}`,
    () => ({ shape: [3], data }),
    (label) => typeError(`${label}.data`),
  ]),
  ["too few values", () => ({ shape: [2, 3], data: dyadic(5, 1) }), (label) => mismatch(`${label}.data`)],
  ["too many values", () => ({ shape: [2, 3], data: dyadic(7, 1) }), (label) => mismatch(`${label}.data`)],
  ["no values", () => ({ shape: [1], data: dyadic(0, 1) }), (label) => mismatch(`${label}.data`)],
  ["values for nothing", () => ({ shape: [3, 0], data: dyadic(3, 1) }), (label) => mismatch(`${label}.data`)],
  ["no value for a scalar", () => ({ shape: [], data: dyadic(0, 1) }), (label) => mismatch(`${label}.data`)],
  ["two values for a scalar", () => ({ shape: [], data: dyadic(2, 1) }), (label) => mismatch(`${label}.data`)],
  ...([[2, 1], [0, 4], [4, 4], [0], [], [0, 1, 2]] as unknown[]).map((rows): (typeof BAD)[number] => [
    `rows [${rows}] of 3`,
    () => ({ shape: [3, 2], rows }),
    (label) => rangeError(`${label}.rows`),
  ]),
  ...[-1, 0.5, NaN, Infinity, 2 ** 53].map((row): (typeof BAD)[number] => [
    `row ${row}`,
    () => ({ shape: [3, 2], rows: [0, row] }),
    (label) => rangeError(`${label}.rows[1]`),
  ]),
  ...([null, 1, "01", {}, new Uint32Array(2), [0, "1"], [0n, 1], new Array(2)] as unknown[]).map(
    (rows): (typeof BAD)[number] => [
      `rows that are ${typeof rows}`,
      () => ({ shape: [3, 2], rows }),
      (label) => typeError(new RegExp(`${label.replaceAll(/[.[\]]/g, "\\$&")}\\.rows(\\[[01]\\])?$`)),
    ],
  ),
  ["rows without a shape", () => ({ rows: [0, 1] }), (label) => typeError(`${label}.shape`)],
  ["two rows of a scalar", () => ({ shape: [], rows: [0, 2] }), (label) => rangeError(`${label}.rows`)],
  [
    "values of the whole for a part",
    () => ({ shape: [3, 2], rows: [0, 2], data: dyadic(6, 1) }),
    (label) => mismatch(`${label}.data`),
  ],
  ["a detached array", () => detach(dyadic(3, 1)), detached],
  ["a detached empty array", () => detach(new Float32Array(0)), detached],
  ["detached values", () => ({ shape: [3], data: detach(dyadic(3, 1)) }), (label) => detached(`${label}.data`)],
  [
    "detached values for nothing",
    () => ({ shape: [0], data: detach(dyadic(3, 1)) }),
    (label) => detached(`${label}.data`),
  ],
  ["a window its buffer is too short for", shrunk, detached],
  ["values in such a window", () => ({ shape: [0], data: shrunk() }), (label) => detached(`${label}.data`)],
  ["an unknown key", () => ({ shape: [2], values: dyadic(2, 1) }), unknownKey],
  ["pointers without memory", () => ({ length: 1, param: 1024, grad: 1028, expAvg: 1032, expAvgSq: 1036 }), typeError],
];

describe.each(Object.entries(ENTRIES))("through %s", (_, [prefix, call]) => {
  it("every source that is none is refused and changes nothing", async () => {
    const twins = new Twins(sample);
    for (const [what, source, expected] of BAD) {
      // Behind a good one, so that refusing comes after something could have been done.
      const params = { good: dyadic(20000, 1), bad: source() } as ParamSet;
      // Pointers without a memory are refused once all groups are known, by a label without the group.
      const error = what.startsWith("pointers") ? typeError(/params\.bad$/) : expected(`${prefix}.bad`);
      await twins.refuses((victim) => call(victim, params), error, what);
    }
  });

  it("sets that are none, or empty, are refused", async () => {
    const twins = new Twins(sample);
    const sets = [null, 1, "w", true, 1n, () => ({}), dyadic(3, 1), new DataView(new ArrayBuffer(8))];
    for (const params of [...sets, new Map([["w", dyadic(1, 1)]]), new Set(), Promise.resolve({}), revoked()]) {
      await twins.refuses((victim) => call(victim, wrong(params)), typeError(prefix));
    }
    for (const params of [{}, [], new Array(0), Object.create({ w: dyadic(1, 1) })]) {
      await twins.refuses((victim) => call(victim, params), rangeError(prefix, "ERR_EMPTY_PARAMS"));
    }
  });

  it("holes, empty names and names given twice are refused", async () => {
    const twins = new Twins(sample);
    const hole = Object.assign(new Array(3), { 0: dyadic(1, 1), 2: dyadic(1, 1) });
    await twins.refuses((victim) => call(victim, hole), typeError(/^[^"]*params\.\d+$/));
    const nameless = { fine: dyadic(1, 1), "": dyadic(1, 1) };
    await twins.refuses((victim) => call(victim, nameless), rangeError(prefix, "ERR_EMPTY_NAME"));
  });
});

it("no parameters at all", async () => {
  const twins = new Twins(sample);
  await twins.refuses(() => AdamW.create(wrong(undefined)), typeError("params"));
  await twins.refuses(() => Adam.createSync(wrong(undefined)), typeError("params"));
  await twins.refuses((victim) => victim.addParamGroup(wrong(undefined)), typeError("group"));
  await twins.refuses((victim) => victim.addParamGroup(wrong({ lr: 1 })), typeError("group.params"));
  await twins.refuses((victim) => victim.addParamGroup(wrong({ params: undefined })), typeError("group.params"));
});

describe("names given twice", () => {
  const twice = (label: string) => rangeError(label, "ERR_DUPLICATE_NAME");
  const value = () => dyadic(2, 1);
  it("across groups", async () => {
    const twins = new Twins(sample);
    const groups = [{ params: { v: value(), w: value() } }, { params: { x: value(), w: value() } }];
    await twins.refuses(() => AdamW.createSync(groups), twice("params[1].params"));
    await twins.refuses(() => AdamW.create(groups), twice("params[1].params"));
    // An array counts on from one parameter, to a name that this one has.
    const counted = [{ params: { "1": value() } }, { params: [value()] }];
    await twins.refuses(() => AdamW.createSync(counted), twice("params[1].params"));
    const proto = () => ({ ["__proto__"]: value() });
    await twins.refuses(() => AdamW.createSync([{ params: proto() }, { params: proto() }]), twice("params[1].params"));
  });

  it("across addParamGroup, also after one that was refused", async () => {
    const twins = new Twins(sample);
    await twins.refuses(
      (victim) => victim.addParamGroup({ params: { e: value(), a: value() } }),
      twice("group.params"),
    );
    await twins.refuses(
      (victim) => victim.addParamGroup({ params: { e: value(), d: value() } }),
      twice("group.params"),
    );
    // "e" was refused twice and is free still.
    for (const optimizer of [twins.victim, twins.twin]) optimizer.addParamGroup({ params: { e: value() } });
    twins.step();
    const counted = { params: { "6": value() } };
    for (const optimizer of [twins.victim, twins.twin]) optimizer.addParamGroup(counted);
    await twins.refuses((victim) => victim.addParamGroup({ params: [value()] }), twice("group.params"));
  });

  it("across lists that mix groups and parameters: refused as groups", async () => {
    const mixed = wrong<ParamSet>([{ params: { w: value() } }, value()]);
    await new Twins(sample).refuses(() => AdamW.createSync(mixed), typeError("params[1]"));
    const hole = wrong<ParamSet>(Object.assign(new Array(2), { 0: { params: { w: value() } } }));
    await new Twins(sample).refuses(() => AdamW.createSync(hole), typeError("params[1]"));
  });
});

/** How many memories a call makes; where it fails having made one, that is the error. */
async function memoriesMade(call: () => unknown): Promise<number> {
  const { Memory } = WebAssembly;
  let made = 0;
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, args, self) {
      made++;
      return Reflect.construct(target, args, self);
    },
  });
  try {
    await call();
    return made;
  } catch (error) {
    if (made > 0) throw new Error(`${made} memories were made before ${error}`);
    throw error;
  } finally {
    WebAssembly.Memory = Memory;
  }
}

describe("more than 4 GiB", () => {
  it("(memories made are counted)", async () => {
    expect(await memoriesMade(() => AdamW.create([dyadic(2, 1)]))).toBe(1);
  });

  const tooMuch: Expected = rangeError("params", "ERR_OUT_OF_MEMORY");
  /** Tells how much was asked for, how much fits, and what to do. */
  async function refusesWith(call: (victim: Optimizer) => unknown, bytes: number): Promise<void> {
    const twins = new Twins(sample);
    let message = "";
    const watched = async (victim: Optimizer) => {
      try {
        await memoriesMade(() => call(victim));
      } catch (error) {
        message = String(error);
        throw error;
      }
    };
    await twins.refuses(watched, tooMuch);
    expect(message).toMatch(/4294967296|4 GiB/);
    expect(message).toMatch(/several optimizers/);
    const asked = Number(/got ([\d.e+]+) bytes/.exec(message)?.[1]);
    // What lies below and around the tensors is less than a page.
    expect(asked).toBeGreaterThanOrEqual(bytes * (1 - 1e-9));
    expect(asked).toBeLessThan(bytes * (1 + 1e-9) + 65536);
  }

  it("one tensor, several, several groups", async () => {
    const shape = [2 ** 30];
    await refusesWith(() => AdamW.createSync({ w: { shape } }), 16 * 2 ** 30);
    await refusesWith(() => Adam.create([{ shape: [2 ** 27] }, { shape: [2 ** 27 + 1] }]), 16 * (2 ** 28 + 1));
    await refusesWith(
      () => AdamW.create([{ params: { a: { shape } } }, { params: { b: { shape } }, amsgrad: true }]),
      36 * 2 ** 30,
    );
    await refusesWith(() => AdamW.createSync({ w: { shape: [2 ** 53 - 1] } }), 16 * 2 ** 53);
    await refusesWith(() => AdamW.createSync({ w: { shape: [2 ** 53 - 1, 2 ** 53 - 1, 2] } }), 16 * 2 ** 107);
  });

  it.each([1, 2, "auto"] as const)("a shape whose product is no number any more, threads: %s", async (threads) => {
    const huge = Array.from({ length: 20 }, () => 2 ** 53 - 1);
    const twins = new Twins(sample);
    for (const params of [[{ shape: huge }], { x: { shape: [2] }, y: { shape: [...huge, 2] }, z: { shape: huge } }]) {
      await twins.refuses(() => AdamW.createSync(params, { threads }), tooMuch);
      await twins.refuses(() => AdamW.create([{ params, amsgrad: true }], { threads }), tooMuch);
      await twins.refuses((victim) => victim.addParamGroup({ params }), tooMuch);
    }
    const { message } = (await caught(() => AdamW.createSync([{ shape: huge }], { threads }))) as Error;
    expect(message).toMatch(/got Infinity bytes$/);
  });

  it("amsgrad needs a fifth more", async () => {
    await refusesWith(
      () => AdamW.createSync({ w: { shape: [2 ** 28 - 4096] } }, { amsgrad: true }),
      20 * (2 ** 28 - 4096),
    );
  });

  it("a group added: memory neither grows nor detaches its views", async () => {
    await refusesWith((victim) => victim.addParamGroup({ params: { w: { shape: [2 ** 30] } } }), 16 * 2 ** 30);
    await refusesWith((victim) => victim.addParamGroup({ params: [{ shape: [2 ** 28] }] }), 16 * 2 ** 28);
  });

  it("what the host does not grant is told as well", async () => {
    const grow = vi.spyOn(WebAssembly.Memory.prototype, "grow").mockImplementation(() => {
      throw new RangeError("no");
    });
    try {
      const add = (victim: Optimizer) => victim.addParamGroup({ params: [{ shape: [2 ** 20] }] });
      const twins = new Twins(sample);
      await twins.refuses(add, tooMuch);
      const { message } = (await caught(() => add(twins.twin))) as Error;
      // What was asked for and what the engine said; not that there is too much of it.
      expect(message).toMatch(/^"params": expected 167\d{5} bytes from the engine .*, got RangeError: no$/);
    } finally {
      grow.mockRestore();
    }
  });
});
