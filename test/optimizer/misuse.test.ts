/** What is easily done to an optimizer by mistake: it throws, or is shown; nothing changes. */
import { inspect } from "node:util";
import { Adam, AdamW } from "fused-adam";
import { describe, expect, it } from "vitest";
import { caught, expectError, expectSamePrint, fingerprint, stateError, typeError } from "../support/api.js";
import { ranInVitest, unless } from "../support/host.js";

const HYPER = ["lr", "betas", "eps", "weightDecay", "amsgrad", "maximize", "biasCorrection"];

const create = (Class: typeof Adam | typeof AdamW = AdamW) =>
  Class.createSync([
    { params: { w: { shape: [3, 4] }, b: new Float32Array([1, 2]) }, weightDecay: 0.5 },
    { params: { late: { shape: [5] } }, amsgrad: true, lr: (step: number) => 1 / step },
  ]);

describe.each([Adam, AdamW])("%o", (Class) => {
  it.each(HYPER)("%s, assigned to the optimizer: refused, and the message says where it is", async (key) => {
    const optimizer = create(Class);
    const before = fingerprint(optimizer);
    for (const value of [5, undefined]) {
      const error = await caught(() => Object.assign(optimizer, { [key]: value }));
      expectError(error, stateError(key, "ERR_FIXED_OPTION"));
      expect(String(error)).toContain(`paramGroups[0].${key}`);
    }
    expectSamePrint(fingerprint(optimizer), before);
  });
});

it("a property of param, grad or a group, and what is read only: a TypeError", () => {
  const optimizer = create();
  const before = fingerprint(optimizer);
  const { param, grad, paramGroups, names } = optimizer;
  for (const object of [param, grad, paramGroups, paramGroups[0]!, names]) {
    expect(() => Object.assign(object, { w: new Float32Array(12) })).toThrow(TypeError);
  }
  for (const key of ["kernel", "threads", "steps", "memory", "names", "paramGroups"]) {
    expect(() => Object.assign(optimizer, { [key]: 1 }), key).toThrow(TypeError);
  }
  expectSamePrint(fingerprint(optimizer), before);
});

it("properties of a program's own are its own, also under the names of hyper-parameters, as fields of subclasses define them", () => {
  const optimizer = Object.assign(create(), { epoch: 3 });
  Object.defineProperty(optimizer, "lr", { value: 7, writable: true });
  Object.assign(optimizer, { epoch: 4, lr: 8 });
  expect(optimizer).toMatchObject({ epoch: 4, lr: 8 });
  expect(optimizer.paramGroups[0]!.lr).toBe(0.001);
});

it("JSON.stringify: a TypeError that says what to use, also deep in something else", async () => {
  const optimizer = create();
  for (const value of [optimizer, { run: [optimizer] }]) {
    const error = await caught(() => JSON.stringify(value));
    expectError(error, typeError("JSON.stringify"));
    expect(String(error)).toMatch(/stateDict\(\).*encodeCheckpoint/);
  }
});

it("structuredClone and postMessage: the engine's DataCloneError, not an empty object", async () => {
  const optimizer = create();
  const { port1, port2 } = new MessageChannel();
  const copies = [
    () => structuredClone(optimizer),
    () => structuredClone({ run: [optimizer] }),
    () => port1.postMessage(optimizer),
  ];
  for (const copy of copies) expect(await caught(copy)).toMatchObject({ name: "DataCloneError" });
  port1.close();
  port2.close();
  expect(structuredClone(optimizer.stateDict())).toEqual(optimizer.stateDict());
});

describe("printed", unless(ranInVitest("is of the entry that Node, Deno and Bun load")), () => {
  const HOOK = Symbol.for("nodejs.util.inspect.custom");
  /** The fields that are shown, after the name of the class. */
  function shown(optimizer: object): [string, unknown] {
    let fields: unknown;
    const show = (value: unknown) => {
      fields = value;
      return "…";
    };
    const text = (optimizer as Record<symbol, (...args: unknown[]) => string>)[HOOK]!(2, {}, show);
    return [text, fields];
  }

  it("groups with their hyper-parameters, counts, what is stored how, threads, steps", () => {
    const optimizer = create();
    for (let step = 0; step < 3; step++) optimizer.step({ skip: step === 1 ? ["w", "b", "late"] : [] });
    const formats = { moments: "float32", grads: "float32", copies: undefined };
    const hyper = { betas: [0.9, 0.999], eps: 1e-8, maximize: false, biasCorrection: true, ...formats };
    const stored = ["param F32", "grad F32", "expAvg F32", "expAvgSq F32"];
    const [text, fields] = shown(optimizer);
    expect(text).toBe(`${AdamW.name} …`);
    expect(fields).toEqual({
      kernel: optimizer.kernel,
      threads: 1,
      steps: 2,
      groups: [
        { tensors: 2, elements: 14, stored, ...hyper, lr: 0.001, weightDecay: 0.5, amsgrad: false },
        {
          tensors: 1,
          elements: 5,
          stored: [...stored, "maxExpAvgSq F32"],
          ...hyper,
          lr: expect.any(Function),
          weightDecay: 0.01,
          amsgrad: true,
        },
      ],
    });
  });

  it("a change of what was shown changes nothing", () => {
    const optimizer = create();
    const before = fingerprint(optimizer);
    const [, fields] = shown(optimizer);
    for (const group of (fields as { groups: object[] }).groups) Object.assign(group, { lr: 5, tensors: 0 });
    expectSamePrint(fingerprint(optimizer), before);
  });

  it("while a step is under way: that it is", async () => {
    const optimizer = create();
    const step = optimizer.stepAsync();
    const busy = shown(optimizer);
    await step;
    expect(busy[1]).toEqual({ kernel: optimizer.kernel, threads: 1, groups: "ERR_BUSY" });
  });

  it("after dispose(): that it is disposed", () => {
    const optimizer = create(Adam);
    optimizer.dispose();
    expect(shown(optimizer)).toEqual([`${Adam.name} …`, expect.objectContaining({ groups: "ERR_DISPOSED" })]);
  });

  it("by node:util, with everything in it, however deep it is", () => {
    const text = inspect({ a: { b: { c: create() } } });
    expect(text).toMatch(/c: \w+ \{\s+kernel: ['"]\w+['"],\s+threads: 1,\s+steps: 0,\s+groups: \[/);
    expect(text).toMatch(/betas: \[ 0\.9, 0\.999 \]/);
  });
});
