/** Every way pointers into somebody else's memory can be wrong. */
import { runInNewContext } from "node:vm";
import { Adam, AdamW, type ParamPointers, type ParamSet } from "fused-adam";
import { describe, expect, it, vi } from "vitest";
import {
  caught,
  type Expected,
  expectError,
  fillGrads,
  rangeError,
  stateError,
  Twins,
  typeError,
  wrong,
} from "../support/api.js";
import { unless } from "../support/host.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

const PAGE = 65536;
const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;
type Region = (typeof REGIONS)[number];

/** Regions one behind the other, from `start` on, without a gap. */
function pointers(start: number, length: number, regions = 4): ParamPointers {
  const offsets = REGIONS.slice(0, regions).map((region, i) => [region, start + 4 * length * i]);
  return { length, ...Object.fromEntries(offsets) } as ParamPointers;
}

function filled(): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = new Uint8Array(memory.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i, 0x9e3779b1) >>> 24;
  return memory;
}

/** Over a memory full of the host's own bytes: "a" at 2048, 5 elements; "b" with AMSGrad at 4096, 6 elements. */
function foreign(): AdamW {
  const memory = filled();
  const groups = [{ params: { a: pointers(2048, 5) } }, { params: { b: pointers(4096, 6, 5) }, amsgrad: true }];
  const optimizer = AdamW.createSync(groups, { memory });
  for (const name of optimizer.names) optimizer.param(name).set(dyadic(optimizer.param(name).length, 3));
  return optimizer;
}

/** How pointers get in: by creation in a memory that is full of other bytes, or by addParamGroup. */
const ENTRIES: Record<string, (victim: Optimizer, params: ParamSet, amsgrad: boolean) => unknown> = {
  create: (victim, params, amsgrad) => AdamW.create(params, { memory: victim.memory, amsgrad }),
  createSync: (victim, params, amsgrad) => Adam.createSync([{ params, amsgrad }], { memory: victim.memory }),
  addParamGroup: (victim, params, amsgrad) => victim.addParamGroup({ params, amsgrad }),
};

const at = (region: Region | "length") => new RegExp(`params\\.bad\\.${region}$`);
/** Either of two that lie in each other's way may be named. */
const anyRegion = /params\.\w+\.(param|grad|expAvg|expAvgSq|maxExpAvgSq)$/;

interface Bad {
  readonly what: string;
  readonly bad: unknown;
  readonly error: Expected;
}

const good = pointers(8192, 3);
const BAD: Bad[] = [];
for (const region of REGIONS.slice(0, 4)) {
  for (const value of ["8192", null, undefined, true, 8192n, {}, [8192], Symbol("at"), () => 8192]) {
    BAD.push({ what: `${region} ${String(value)}`, bad: { ...good, [region]: value }, error: typeError(at(region)) });
  }
  for (const value of [-4, -1, 0.5, 8192.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300]) {
    BAD.push({ what: `${region} ${value}`, bad: { ...good, [region]: value }, error: rangeError(at(region)) });
  }
  for (const value of [1, 2, 3, 8193, 8190, PAGE - 6, PAGE + 1, 2 ** 31 + 2, 2 ** 53 - 1]) {
    const error = rangeError(at(region), "ERR_MISALIGNED");
    BAD.push({ what: `${region} ${value}`, bad: { ...good, [region]: value }, error });
  }
  // Negative and small again once they are 32 bits, signed or not; and around the end.
  for (const value of [PAGE - 8, PAGE, PAGE + 4, 2 ** 31, 2 ** 32 - 4, 2 ** 32, 2 ** 32 + 8192, 2 ** 53 - 4]) {
    const error = rangeError(at(region), "ERR_OUT_OF_BOUNDS");
    BAD.push({ what: `${region} ${value}`, bad: { ...good, [region]: value }, error });
  }
}
for (const value of ["3", null, undefined, true, 3n, [3]]) {
  BAD.push({ what: `length ${String(value)}`, bad: { ...good, length: value }, error: typeError(at("length")) });
}
for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
  BAD.push({ what: `length ${value}`, bad: { ...good, length: value }, error: rangeError(at("length")) });
}
for (const value of [2 ** 14, 2 ** 30, 2 ** 30 + 3, 2 ** 32, 2 ** 53 - 1]) {
  const error = rangeError(anyRegion, "ERR_OUT_OF_BOUNDS");
  BAD.push({ what: `length ${value}`, bad: { ...good, length: value }, error });
}
const known = typeError(/params\.bad$/, "ERR_UNKNOWN_OPTION");
BAD.push(
  { what: "an unknown key", bad: { ...good, expavg: 8192 }, error: known },
  {
    what: "a shape of another length",
    bad: { ...good, shape: [good.length + 1] },
    error: rangeError(at("length"), "ERR_SHAPE_MISMATCH"),
  },
  { what: "values", bad: dyadic(3, 1), error: typeError(/params\.bad$/) },
  { what: "a shape", bad: { shape: [3] }, error: typeError(/params\.bad$/) },
  { what: "a shape with values", bad: { shape: [3], data: dyadic(3, 1) }, error: typeError(/params\.bad$/) },
);

describe.each(Object.entries(ENTRIES))("through %s", (_, call) => {
  it("offsets and lengths that are none are refused and change no byte", async () => {
    const twins = new Twins(foreign);
    for (const { what, bad, error } of BAD) {
      const params = { fine: pointers(16384, 4), bad } as ParamSet;
      await twins.refuses((victim) => call(victim, params, false), error, what);
    }
  });

  it("with amsgrad the fifth region is checked like the others, and must be there", async () => {
    const twins = new Twins(foreign);
    const five = pointers(8192, 3, 5);
    const refuses = (maxExpAvgSq: unknown, error: Expected) => {
      const params = { bad: { ...five, maxExpAvgSq } } as ParamSet;
      return twins.refuses((victim) => call(victim, params, true), error, String(maxExpAvgSq));
    };
    for (const value of [undefined, null, "8192", true]) await refuses(value, typeError(at("maxExpAvgSq")));
    for (const value of [-4, 0.5, NaN, 2 ** 53]) await refuses(value, rangeError(at("maxExpAvgSq")));
    for (const value of [8230, 1]) await refuses(value, rangeError(at("maxExpAvgSq"), "ERR_MISALIGNED"));
    for (const value of [PAGE - 8, 2 ** 32]) await refuses(value, rangeError(at("maxExpAvgSq"), "ERR_OUT_OF_BOUNDS"));
    for (const region of REGIONS.slice(0, 4)) await refuses(five[region], rangeError(anyRegion, "ERR_OVERLAP"));
    const missing = { bad: pointers(8192, 3) };
    await twins.refuses((victim) => call(victim, missing, true), typeError(at("maxExpAvgSq")));
  });

  it("no two regions may share a byte: within a parameter, and between two", async () => {
    const twins = new Twins(foreign);
    const overlap = rangeError(anyRegion, "ERR_OVERLAP");
    const refuses = (params: ParamSet, what: string) =>
      twins.refuses((victim) => call(victim, params, true), overlap, what);
    const five = pointers(8192, 3, 5);
    for (const one of REGIONS) {
      for (const other of REGIONS) {
        if (one === other) continue;
        for (const shift of [0, 8, -8]) {
          const bad = { ...five, [one]: five[other]! + shift };
          // Moved off its own place and onto another's; regions lie side by side, so each shift hits one.
          await refuses({ bad }, `${one} ${shift} off ${other}`);
        }
        const pair = { w: five, bad: { ...pointers(16384, 2, 5), [one]: five[other]! + 4 } };
        await refuses(pair, `${one} in another's ${other}`);
      }
    }
    await refuses({ w: pointers(8192, 100, 5), bad: { ...pointers(16384, 1, 5), grad: 8192 + 200 } }, "one inside");
    await refuses({ w: { ...pointers(16384, 1, 5), grad: 8192 + 200 }, bad: pointers(8192, 100, 5) }, "one around");
    await refuses({ w: five, bad: five }, "all the same");
  });
});

describe("overlap with what is there already", () => {
  it("addParamGroup looks at every group's regions, the moments included", async () => {
    const twins = new Twins(foreign);
    const overlap = rangeError(anyRegion, "ERR_OVERLAP");
    const taken = [...[0, 1, 2, 3].map((i) => 2048 + 20 * i), ...[0, 1, 2, 3, 4].map((i) => 4096 + 24 * i)];
    for (const start of taken) {
      for (const region of REGIONS.slice(0, 4)) {
        for (const shift of [0, -4, 16]) {
          const bad = { ...pointers(8192, 2), [region]: start + shift };
          const context = `${region} at ${start + shift}`;
          await twins.refuses((victim) => victim.addParamGroup({ params: { bad } }), overlap, context);
        }
      }
    }
    // Exactly beside them is fine, and what was refused is not there.
    const beside = { bad: { ...pointers(8192, 2), param: 2048 + 80, grad: 2048 - 8 } };
    for (const optimizer of [twins.victim, twins.twin]) optimizer.addParamGroup({ params: beside });
    twins.step();
  });

  it("across the groups of one create", async () => {
    const memory = filled();
    const groups = [{ params: { v: pointers(1024, 4) } }, { params: { w: pointers(1024 + 60, 4) } }];
    expectError(await caught(() => AdamW.create(groups, { memory })), rangeError(anyRegion, "ERR_OVERLAP"));
    expect(Buffer.compare(Buffer.from(memory.buffer), Buffer.from(filled().buffer))).toBe(0);
  });

  it("without amsgrad a fifth region is nobody's: it may lie anywhere", () => {
    const memory = filled();
    const shared = { maxExpAvgSq: 1024 };
    const params = { v: { ...pointers(1024, 4), ...shared }, w: { ...pointers(2048, 4), ...shared } };
    const optimizer = AdamW.createSync(params, { memory });
    fillGrads(optimizer, 1);
    expect(optimizer.step().step).toBe(1);
  });
});

describe("parameters of length 0", () => {
  const EMPTY: [string, Partial<ParamPointers>, Expected][] = [
    ["misaligned", { expAvg: 8194 }, rangeError(at("expAvg"), "ERR_MISALIGNED")],
    ["behind the end", { grad: PAGE + 4 }, rangeError(at("grad"), "ERR_OUT_OF_BOUNDS")],
    ["far behind the end", { param: 2 ** 40 }, rangeError(at("param"), "ERR_OUT_OF_BOUNDS")],
  ];
  it.each(EMPTY)("%s: refused as others are", async (_, offset, error) => {
    const bad = { ...pointers(8192, 0), ...offset };
    expectError(await caught(() => AdamW.createSync({ bad }, { memory: filled() })), error);
    await new Twins(foreign).refuses((victim) => victim.addParamGroup({ params: { bad } }), error);
  });

  it("share no byte with anything, wherever they lie", () => {
    const memory = filled();
    const params = { v: pointers(1024, 4), empty: pointers(1028, 0), end: pointers(PAGE, 0) };
    const optimizer = AdamW.createSync(params, { memory });
    optimizer.grad("v").fill(1);
    expect(optimizer.step({ clipNorm: 1 })).toEqual({ step: 1, skipped: false, gradNorm: 2 });
    expect(optimizer.param("end").length).toBe(0);
  });
});

describe("memories that are none", () => {
  const buffer = new ArrayBuffer(PAGE);
  const NO_MEMORY: Record<string, unknown> = {
    null: null,
    "a number": 5,
    "a string": "memory",
    "a boolean": true,
    "an object": {},
    "an ArrayBuffer": buffer,
    "a typed array": new Uint8Array(buffer),
    "the class": WebAssembly.Memory,
    "the prototype": WebAssembly.Memory.prototype,
    "a look-alike": { buffer, grow: () => 0 },
    "a child of the prototype": Object.create(WebAssembly.Memory.prototype),
    "a look-alike with the tag": { buffer, grow: () => 0, [Symbol.toStringTag]: "WebAssembly.Memory" },
    "an object with the tag": { [Symbol.toStringTag]: "WebAssembly.Memory" },
    "a proxy": new Proxy(filled(), {}),
    "a table": new WebAssembly.Table({ initial: 1, element: "anyfunc" }),
  };
  it.each(Object.keys(NO_MEMORY))("%s", async (what) => {
    for (const kernel of ["simd", "scalar"] as const) {
      const options = { memory: wrong<WebAssembly.Memory>(NO_MEMORY[what]), kernel };
      expectError(await caught(() => AdamW.create({ w: pointers(1024, 2) }, options)), typeError("memory"), what);
      expectError(await caught(() => Adam.createSync({ w: pointers(1024, 2) }, options)), typeError("memory"), what);
    }
  });

  it("a memory of another realm is one", () => {
    const memory = runInNewContext("new WebAssembly.Memory({ initial: 1 })") as WebAssembly.Memory;
    expect(memory instanceof WebAssembly.Memory).toBe(false);
    const optimizer = AdamW.createSync({ w: pointers(1024, 2) }, { memory });
    expect(optimizer.memory).toBe(memory);
    optimizer.grad("w").fill(1);
    // lr 1e-3: the first step is lr long, whatever the gradient.
    optimizer.step();
    expect(Math.abs(optimizer.param("w")[1]! + 1e-3)).toBeLessThan(1e-9);
  });
});

/** Null where the engine has no memories with 64-bit addresses, which WebAssembly modules with 32-bit ones cannot import. */
function longMemory(pages: number, shared = false): WebAssembly.Memory | null {
  try {
    return Reflect.construct(WebAssembly.Memory, [
      { initial: BigInt(pages), ...(shared && { maximum: 16n, shared }), address: "i64" },
    ]);
  } catch {
    return null;
  }
}

describe("a memory with 64-bit addresses", unless(longMemory(1) === null && "this engine has no such memories"), () => {
  it.each([false, true])("is stepped on by the TypeScript kernels, and one warning says so; shared: %s", (shared) => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const memory = longMemory(1, shared)!;
    for (const _ of [1, 2]) {
      const optimizer = AdamW.createSync({ w: pointers(1024, 3) }, { memory });
      expect(optimizer.kernel).toBe("scalar");
      optimizer.param("w").set(dyadic(3, 1));
      const model = new Model("adamw", { w: dyadic(3, 1) });
      model.fillGrads(optimizer, 1);
      optimizer.step();
      model.step();
      model.expectSame(optimizer);
    }
    const said = warn.mock.calls.flat().filter((text) => String(text).includes("64-bit addresses"));
    expect(said.length).toBe(shared ? 0 : 1);
    warn.mockRestore();
  });

  it("is refused for other kernels, before a byte changes", async () => {
    const memory = longMemory(1)!;
    new Uint8Array(memory.buffer).fill(7);
    const unavailable = stateError("kernel", "ERR_KERNEL_UNAVAILABLE");
    for (const kernel of ["simd", "relaxed"] as const) {
      const params = { w: pointers(1024, 3) };
      expectError(await caught(() => AdamW.createSync(params, { memory, kernel })), unavailable);
      expectError(await caught(() => Adam.create(params, { memory, kernel })), unavailable);
    }
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 7)).toBe(true);
  });

  it("grown by the host, is looked at anew", () => {
    for (const shared of [false, true]) {
      const memory = longMemory(1, shared)!;
      const optimizer = AdamW.createSync({ w: pointers(1024, 3) }, { memory, kernel: "scalar" });
      memory.grow(1n as unknown as number);
      optimizer.addParamGroup({ params: { late: pointers(PAGE, 3) } });
      expect(() => optimizer.addParamGroup({ params: { later: pointers(2 * PAGE, 3) } })).toThrow(RangeError);
      optimizer.grad("late").fill(1);
      expect(optimizer.step().step).toBe(1);
    }
  });
});
