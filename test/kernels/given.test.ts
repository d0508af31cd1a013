/** The option `module`: a module that the host has compiled, for hosts that let nobody compile bytes. */
import { runInNewContext } from "node:vm";
import { Adam, AdamW, type RuntimeOptions } from "fused-adam";
import { afterEach, describe, expect, it, vi } from "vitest";
import { caught, expectError, rangeError, typeError } from "../support/api.js";
import { unless } from "../support/host.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";
import { type ModuleName, noRelaxed, wasmBytes } from "../support/wasm.js";

const compiled = (name: ModuleName) => new WebAssembly.Module(wasmBytes(name));
const [simd, shared] = [compiled("simd"), compiled("simd-shared")];

const params = { a: dyadic(70_000, 1), b: dyadic(33, 2) };
const { Module, compile, validate } = WebAssembly;

function forbidCompiling(): void {
  const refuse = () => {
    throw new WebAssembly.CompileError("bytes");
  };
  class Refused extends Module {
    constructor() {
      refuse();
      super(new Uint8Array());
    }
  }
  Object.assign(WebAssembly, { Module: Refused, compile: async () => refuse(), validate: () => false });
}

afterEach(() => {
  Object.assign(WebAssembly, { Module, compile, validate });
  vi.restoreAllMocks();
});

const MAKE = { create: AdamW.create, createSync: AdamW.createSync };
const ways = Object.entries(MAKE);

async function expectSteps(optimizer: Optimizer, threads: number, how: "step" | "stepAsync"): Promise<void> {
  expect([optimizer.kernel, optimizer.threads]).toEqual(["simd", threads]);
  const model = new Model("adamw", params);
  for (let step = 0; step < 3; step++) {
    model.fillGrads(optimizer, step);
    const options = step % 2 ? { clipNorm: 2 } : {};
    expect(await optimizer[how](options)).toEqual(model.step(options));
  }
  model.expectSame(optimizer);
  optimizer.dispose();
}

describe("where nothing can be compiled, simd by a module, with the reference's bits", () => {
  it.each(ways)("%s, one thread, over memory of its own and the host's", async (_, make) => {
    forbidCompiling();
    for (const kernel of ["auto", "simd", undefined] as const) {
      await expectSteps(await make(params, { kernel, module: simd }), 1, "step");
    }
    const memory = new WebAssembly.Memory({ initial: 1 });
    const at = { w: { length: 3, param: 1024, grad: 2048, expAvg: 3072, expAvgSq: 4096 } };
    expect((await make(at, { memory, module: simd })).kernel).toBe("simd");
  });

  it.each(ways)("%s, 3 threads, by the module for shared memory", async (_, make) => {
    const kept = { Module: WebAssembly.Module, compile: WebAssembly.compile };
    forbidCompiling();
    const optimizers = [await make(params, { threads: 3, module: shared }), await make(params, { module: shared })];
    Object.assign(WebAssembly, kept);
    expect(optimizers.map(({ memory }) => Object.prototype.toString.call(memory.buffer))).toEqual([
      "[object SharedArrayBuffer]",
      "[object SharedArrayBuffer]",
    ]);
    await expectSteps(optimizers[0]!, 3, "stepAsync");
    await expectSteps(optimizers[1]!, 1, "step");
  });
});

it("a module for memory that is not shared, and threads: one thread after one warning", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  for (const make of [AdamW.createSync, AdamW.create]) {
    await expectSteps(await make(params, { threads: 2, module: simd }), 1, "step");
  }
  expect(warn.mock.calls.map(([text]) => text)).toEqual([expect.stringMatching(/options\.module is not for shared/)]);
});

it("a module of another realm is one", async () => {
  const realm = runInNewContext("WebAssembly") as typeof WebAssembly;
  const module = new realm.Module(wasmBytes("simd"));
  expect(module instanceof WebAssembly.Module).toBe(false);
  await expectSteps(AdamW.createSync(params, { module }), 1, "step");
});

it("relaxed by its module, if it is asked for by name", unless(noRelaxed()), async () => {
  const module = compiled("relaxed");
  const optimizer = AdamW.createSync(params, { kernel: "relaxed", module, weightDecay: 0 });
  expect(optimizer.kernel).toBe("relaxed");
  optimizer.grad("a").fill(1);
  optimizer.step();
  expect(optimizer.param("a")[0]).toBeCloseTo(params.a[0]! - 1e-3, 5);
  for (const kernel of ["auto", "simd"] as const) {
    expectError(await caught(() => AdamW.createSync(params, { kernel, module })), rangeError("module"), kernel);
  }
});

/** Magic and version. */
const EMPTY = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));

describe("what is refused", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const sharedMemory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const at = { w: { length: 3, param: 1024, grad: 2048, expAvg: 3072, expAvgSq: 4096 } };
  const makes = [Adam.create, Adam.createSync, AdamW.create, AdamW.createSync];

  it.each([
    ["no module", {}],
    ["bytes", wasmBytes("simd")],
    ["an instance", new WebAssembly.Instance(simd, { env: { memory } })],
    ["null", null],
    ["a look-alike", Object.create(WebAssembly.Module.prototype)],
  ])("%s: a TypeError", async (_, module) => {
    for (const make of makes) {
      const options = { module: module as WebAssembly.Module };
      expectError(await caught(() => make(params, options)), typeError("module"));
    }
  });

  const RUNTIMES: Record<string, RuntimeOptions> = {
    "a module of somebody else": { module: EMPTY },
    "any beside the TypeScript kernels": { module: simd, kernel: "scalar" },
    "simd for relaxed": { module: simd, kernel: "relaxed" },
    "for shared memory, the host's is not": { module: shared, memory },
    "not for shared memory, the host's is": { module: simd, memory: sharedMemory },
  };
  it.each(Object.entries(RUNTIMES))("%s: a RangeError", async (_, runtime) => {
    const from = runtime.memory === undefined ? params : at;
    for (const make of makes) expectError(await caught(() => make(from, runtime)), rangeError("module"));
  });
});
