/** Hosts without WebAssembly SIMD, without WebAssembly, or that forbid compiling: TypeScript kernels, the same bits. */
import { Adam, AdamW } from "fused-adam";
import { afterEach, expect, it, vi } from "vitest";
import { caught, expectError, stateError, typeError } from "../support/api.js";
import { HOST, unless } from "../support/host.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

// What is compiled once is kept, so in this file, which has a process of its own, nothing must be compiled before the end.
const { Module, compile, validate } = WebAssembly;
const unavailable = stateError("kernel", "ERR_KERNEL_UNAVAILABLE");
const params = { a: dyadic(21, 1), b: dyadic(3, 2) };

const host = globalThis as { WebAssembly?: typeof WebAssembly };
const { WebAssembly: wasm } = globalThis;

afterEach(() => {
  host.WebAssembly = wasm;
  Object.assign(WebAssembly, { Module, compile, validate });
  vi.restoreAllMocks();
});

function expectSteps(optimizer: Optimizer): void {
  expect(optimizer.kernel).toBe("scalar");
  const model = new Model("adamw", params);
  for (let step = 0; step < 3; step++) {
    model.fillGrads(optimizer, step);
    expect(optimizer.step({ clipNorm: 2 })).toEqual(model.step({ clipNorm: 2 }));
  }
  optimizer.addParamGroup({ params: { late: dyadic(20000, 3) }, amsgrad: true });
  model.add({ late: dyadic(20000, 3) }, { amsgrad: true });
  for (let step = 0; step < 2; step++) {
    model.fillGrads(optimizer, step);
    expect(optimizer.step({ zeroGrad: true })).toEqual(model.step({ zeroGrad: true }));
  }
  model.expectSame(optimizer);
}

it("where a policy forbids compiling, auto falls back with one warning that names the remedy; simd is an error", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const cause = new WebAssembly.CompileError("refused by the policy");
  Object.assign(WebAssembly, {
    Module: class {
      constructor() {
        throw cause;
      }
    },
    compile: () => Promise.reject(cause),
  });
  expectSteps(AdamW.createSync(params));
  expectSteps(await AdamW.create(params, { kernel: "auto" }));
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]![0]).toMatch(/wasm-unsafe-eval/);
  for (const call of [
    () => AdamW.createSync(params, { kernel: "simd" }),
    () => Adam.create(params, { kernel: "simd" }),
  ]) {
    const error = await caught(call);
    expectError(error, unavailable);
    expect(error).toMatchObject({ message: expect.stringContaining("wasm-unsafe-eval"), cause });
  }
});

it("where there is no SIMD, auto falls back and says nothing; simd is an error", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  Object.assign(WebAssembly, { validate: () => false });
  expectSteps(AdamW.createSync(params));
  expectSteps(await AdamW.create(params));
  for (const kernel of ["simd", "relaxed"] as const) {
    expectError(await caught(() => AdamW.createSync(params, { kernel })), unavailable);
    expectError(await caught(() => AdamW.create(params, { kernel })), unavailable);
  }
  expect(warn).not.toHaveBeenCalled();
});

it("where there is no WebAssembly at all", async () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  delete host.WebAssembly;
  expectSteps(AdamW.createSync(params));
  expectSteps(await AdamW.create(params, { kernel: "scalar" }));
  expectError(await caught(() => AdamW.createSync(params, { kernel: "simd" })), unavailable);
  const pointers = { w: { length: 1, param: 0, grad: 4, expAvg: 8, expAvgSq: 12 } };
  expectError(await caught(() => AdamW.createSync(pointers, { memory })), typeError("memory"));
});

it("and where all is well, SIMD", unless(!HOST.wasm && "is about hosts that allow WebAssembly"), async () => {
  expect(AdamW.createSync(params).kernel).toBe("simd");
  expect((await AdamW.create(params)).kernel).toBe("simd");
});
