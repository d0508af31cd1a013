import { execFileSync } from "node:child_process";
import { Adam, AdamW } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { detach, expectSamePrint, fillGrads, fingerprint, revoked, sample } from "../support/api.js";
import { noNodeOptions, notBuilt, unless } from "../support/host.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { edited, split, stepped, tiny, typedError } from "./support.js";

interface Run {
  readonly make: () => Optimizer;
  /** What happens at step t = 0, 1, …: the same whether or not the run was interrupted before it. */
  readonly step?: (optimizer: Optimizer, t: number) => void;
  /** What the resumed optimizer cannot take from the checkpoint. */
  readonly adjust?: (optimizer: Optimizer) => void;
}

const params = () => ({
  w: { shape: [3, 7], data: dyadic(21, 1) },
  b: dyadic(5, 2),
  empty: { shape: [0, 2] },
  one: { shape: [] },
});

const RUNS: Record<string, Run> = {
  AdamW: { make: () => AdamW.createSync(params()) },
  "Adam with coupled decay": { make: () => Adam.createSync(params(), { weightDecay: 0.1, eps: 1e-6 }) },
  "the TypeScript kernels": { make: () => AdamW.createSync(params(), { kernel: "scalar" }) },
  "groups, AMSGrad and a schedule": { make: () => sample() },
  "every option of a step": {
    make: () => sample(),
    step: (optimizer) => void optimizer.step({ clipNorm: 0.5, gradScale: 3, skipNonFinite: true, zeroGrad: true }),
  },
  "skipped parameters": {
    make: () => sample(),
    step: (optimizer, t) => void optimizer.step({ skip: ["a", "b", "c", "d"].filter((_, i) => (t * 7 + i) % 3 === 0) }),
  },
  "changed hyper-parameters": {
    make: () => sample(),
    step: (optimizer, t) => {
      const group = optimizer.paramGroups[t % 2]!;
      group.lr = 0.001 * ((t % 5) + 1);
      group.betas = [0.5 + (t % 4) / 10, 0.999];
      group.eps = 10 ** -((t % 7) + 2);
      group.weightDecay = t % 3 === 0 ? -0 : 0.01 * t;
      group.maximize = t % 2 === 0;
      group.biasCorrection = t % 3 !== 0;
      optimizer.step();
    },
  },
  "names that are hard on objects": {
    make: () =>
      AdamW.createSync({
        ["__proto__"]: dyadic(3, 1),
        10: dyadic(2, 2),
        9: dyadic(1, 3),
        'a"\\\u{1f600}\n': dyadic(1, 4),
      }),
  },
};

function run(
  { step = (optimizer) => void optimizer.step() }: Run,
  optimizer: Optimizer,
  from: number,
  to: number,
): void {
  for (let t = from; t < to; t++) {
    fillGrads(optimizer, t);
    step(optimizer, t);
  }
}

describe.each(Object.entries(RUNS))("a resumed run has every bit of one that was not stopped: %s", (_, scenario) => {
  test.each([0, 1, 7, 1000])("after %i steps", (steps) => {
    const straight = scenario.make();
    run(scenario, straight, 0, steps);
    const bytes = encodeCheckpoint(straight, { params: true });
    expect(encodeCheckpoint(straight, { params: true })).toEqual(bytes);

    const resumed = scenario.make();
    run(scenario, resumed, 50, 53);
    loadCheckpoint(resumed, bytes);
    expect(encodeCheckpoint(resumed, { params: true })).toEqual(bytes);
    bytes.fill(0xff);
    for (const optimizer of [straight, resumed]) run(scenario, optimizer, steps, steps + 9);
    expectSamePrint(fingerprint(resumed), fingerprint(straight));
  });
});

test("without parameters in the file, the optimizer's own stay", () => {
  const [from, to] = [stepped(tiny()), tiny()];
  to.param("w").fill(42);
  const bytes = encodeCheckpoint(from, { params: false });
  expect([...Object.keys(split(bytes).header)].filter((name) => !name.includes("."))).toEqual(["__metadata__"]);
  loadCheckpoint(to, bytes);
  expect([...to.param("w")]).toEqual([42, 42, 42, 42]);
  expect(to.stateDict()).toEqual(from.stateDict());
});

test("parameters are in a checkpoint unless one says otherwise", () => {
  const [from, to] = [stepped(tiny()), tiny()];
  const bytes = encodeCheckpoint(from);
  for (const options of [{}, { params: undefined }, { params: true }, undefined]) {
    expect(encodeCheckpoint(from, options)).toEqual(bytes);
  }
  to.param("w").fill(42);
  loadCheckpoint(to, bytes);
  for (const name of from.names) expect(to.param(name)).toEqual(from.param(name));
});

test("the order of parameters and groups does not matter, nor where in a buffer the bytes lie", () => {
  const make = (order: string[]) => {
    const groups = order.map((name, i) => ({ params: { [name]: { shape: [2, 2] } }, eps: name.charCodeAt(0) + 0 * i }));
    return AdamW.createSync(groups);
  };
  const from = stepped(make(["a", "b", "c"]));
  const bytes = encodeCheckpoint(from, { params: true });
  for (let offset = 0; offset < 8; offset++) {
    const shifted = new Uint8Array(bytes.length + 8);
    shifted.set(bytes, offset);
    const to = make(["c", "a", "b"]);
    loadCheckpoint(
      to,
      offset % 2 ? shifted.subarray(offset, offset + bytes.length) : Buffer.from(shifted.buffer, offset, bytes.length),
    );
    for (const name of from.names) {
      expect(to.param(name)).toEqual(from.param(name));
      expect(to.stateDict().state[name]).toEqual(from.stateDict().state[name]);
    }
  }
});

test("a file of another order, without checksum, kernel or padding, loads as well", () => {
  const from = stepped(tiny());
  const bytes = edited(from, (header) => {
    delete header.__metadata__.kernel;
    header.__metadata__ = Object.fromEntries(Object.entries(header.__metadata__).reverse());
  });
  const { header, data } = split(bytes);
  const spaced = JSON.stringify(Object.fromEntries(Object.entries(header).reverse()), undefined, 1);
  const file = new Uint8Array(8 + spaced.length * 2 + data.length);
  const written = new TextEncoder().encodeInto(spaced, file.subarray(8)).written;
  new DataView(file.buffer).setBigUint64(0, BigInt(written), true);
  file.set(data, 8 + written);
  const to = tiny();
  loadCheckpoint(to, file.subarray(0, 8 + written + data.length));
  expect(to.stateDict()).toEqual(from.stateDict());
});

const LIMITS = [24, 31, 32, 53].flatMap((power) => [-2, -1, 0, 1].map((offset) => 2 ** power + offset));

test.each(LIMITS.filter(Number.isSafeInteger))("a count of %i steps is exact, and goes on from there", (step) => {
  const from = stepped(tiny());
  const dict = from.stateDict();
  dict.state.w!.step = step;
  from.loadStateDict(dict);
  const to = tiny();
  loadCheckpoint(to, encodeCheckpoint(from, { params: true }));
  expect(to.stateDict().state.w!.step).toBe(step);
  if (step < Number.MAX_SAFE_INTEGER) {
    for (const optimizer of [from, to]) stepped(optimizer, 1);
    expect(to.stateDict().state.w!.step).toBe(step + 1);
    expectSamePrint(fingerprint(to), fingerprint(from));
  } else {
    expect(() => to.step()).toThrow(expect.objectContaining({ code: "ERR_STEP_LIMIT" }));
  }
});

test.each(["9007199254740992", "9007199254740993", "18446744073709551616", "1e3", "3.0", "-1", "1e999", "007", '"3"'])(
  "a step count of %s is refused",
  (step) => {
    const bytes = edited(stepped(tiny()), (header) => {
      header.__metadata__.steps = header.__metadata__.steps.replace('"w":3', `"w":${step}`);
    });
    expect(typedError(() => loadCheckpoint(tiny(), bytes))).toMatchObject({ code: "ERR_CHECKPOINT" });
  },
);

test("the kernel is recorded", () => {
  for (const kernel of ["simd", "scalar"] as const) {
    const optimizer = AdamW.createSync({ w: dyadic(3, 1) }, { kernel });
    expect(split(encodeCheckpoint(optimizer)).header.__metadata__.kernel).toBe(kernel);
  }
});

test("what would be refused on loading is refused on saving, with the same error", () => {
  const cases: [string, (optimizer: AdamW) => void, string][] = [
    ["w", (optimizer) => optimizer.param("w").fill(Number.NaN, 2), '"w": expected finite values, got NaN at index 2'],
    [
      "w.exp_avg",
      (optimizer) => {
        optimizer.grad("w").fill(Infinity, 1, 2);
        optimizer.step({ skip: ["é"] });
      },
      '"state.w.exp_avg": expected finite values, got Infinity at index 1',
    ],
  ];
  for (const [name, spoil, message] of cases) {
    const optimizer = tiny();
    spoil(optimizer);
    const error = typedError(() => encodeCheckpoint(optimizer, { params: true }));
    expect(error).toMatchObject({ code: "ERR_NON_FINITE", message });
    const bytes = edited(tiny(), (header, data) => {
      const [start] = header[name].data_offsets;
      const got = message.includes("NaN") ? Number.NaN : Infinity;
      data[start / 4 + Number(message.at(-1))] = got;
    });
    expect(typedError(() => loadCheckpoint(tiny(), bytes))).toEqual(error);
  }
});

test("zeros keep their sign", () => {
  const [from, to] = [tiny(), tiny()];
  Object.assign(from.paramGroups[0]!, { lr: -0, weightDecay: -0, eps: -0, betas: [-0, 0] });
  from.param("w").fill(-0);
  loadCheckpoint(to, encodeCheckpoint(from, { params: true }));
  expect(to.stateDict().param_groups).toEqual(from.stateDict().param_groups);
  expect(Object.is(to.paramGroups[0]!.lr, -0)).toBe(true);
  expect(to.param("w").every((x) => Object.is(x, -0))).toBe(true);
});

test("names that would collide in the file are refused on saving, and only then", () => {
  const optimizer = AdamW.createSync({ w: dyadic(2, 1), "w.exp_avg": dyadic(2, 2) });
  expect(encodeCheckpoint(optimizer, { params: false }).length).toBeGreaterThan(0);
  expect(typedError(() => encodeCheckpoint(optimizer, { params: true }))).toMatchObject({ code: "ERR_DUPLICATE_NAME" });
  const reserved = AdamW.createSync({ __metadata__: dyadic(2, 1) });
  loadCheckpoint(reserved, encodeCheckpoint(reserved, { params: false }));
  expect(typedError(() => encodeCheckpoint(reserved, { params: true }))).toMatchObject({ code: "ERR_DUPLICATE_NAME" });
});

test("arguments of a wrong kind are refused", () => {
  const bad = (call: () => unknown) => expect(typedError(call)).toMatchObject({ name: "TypeError" });
  // biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
  const any = (value: unknown): any => value;
  for (const optimizer of [undefined, null, {}, "x", AdamW, revoked()]) bad(() => encodeCheckpoint(any(optimizer)));
  for (const options of [null, 1, { param: true }, { params: 1 }, [true], new Map(), revoked()])
    bad(() => encodeCheckpoint(tiny(), any(options)));
  for (const bytes of [
    undefined,
    null,
    "x",
    [1],
    new ArrayBuffer(8),
    new Float32Array(2),
    new DataView(new ArrayBuffer(9)),
    { [Symbol.toStringTag]: "Uint8Array" },
    Object.create(Uint8Array.prototype),
    revoked(),
  ]) {
    bad(() => loadCheckpoint(tiny(), any(bytes)));
  }
  const gone = detach(encodeCheckpoint(tiny()));
  expect(() => loadCheckpoint(tiny(), gone)).toThrow(expect.objectContaining({ code: "ERR_DETACHED_BUFFER" }));
  const disposed = tiny();
  disposed.dispose();
  for (const call of [() => encodeCheckpoint(disposed), () => loadCheckpoint(disposed, new Uint8Array(9))]) {
    expect(call).toThrow(expect.objectContaining({ code: "ERR_DISPOSED" }));
  }
});

test("an optimizer in somebody else's shared memory", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const pointers = { length: 5, param: 1024, grad: 1056, expAvg: 1088, expAvgSq: 1120, maxExpAvgSq: 1152 };
  const from = AdamW.createSync({ w: pointers }, { memory, amsgrad: true, kernel: "scalar" });
  from.param("w").set(dyadic(5, 1));
  stepped(from);
  const bytes = encodeCheckpoint(from, { params: true });
  const to = AdamW.createSync({ w: new Float32Array(5) }, { amsgrad: true });
  loadCheckpoint(to, bytes);
  expect(to.stateDict()).toEqual(from.stateDict());
  expect([...to.param("w")]).toEqual([...from.param("w")]);
  // The file lies where loading writes: its parameter over the first moment.
  const inside = new Uint8Array(memory.buffer, 1088 - (bytes.length - 4 * 5 * 4), bytes.length);
  inside.set(bytes);
  loadCheckpoint(from, inside);
  expect(to.stateDict()).toEqual(from.stateDict());
  expect([...to.param("w")]).toEqual([...from.param("w")]);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  loadCheckpoint(from, shared);
  expect(to.stateDict()).toEqual(from.stateDict());
});

test("that relaxed kernels were used is recorded", unless(notBuilt, noNodeOptions), () => {
  const script = `
    import { AdamW } from "fused-adam";
    import { encodeCheckpoint } from "fused-adam/checkpoint";
    const optimizer = await AdamW.create({ w: new Float32Array(3) }, { kernel: "relaxed" });
    process.stdout.write(encodeCheckpoint(optimizer));
  `;
  const flags = Number(process.versions.node.split(".")[0]) < 22 ? ["--experimental-wasm-relaxed-simd"] : [];
  const args = [...flags, "--input-type=module", "--eval", script];
  const bytes = execFileSync(process.execPath, args, { cwd: import.meta.dirname });
  expect(split(bytes).header.__metadata__.kernel).toBe("relaxed");
  const optimizer = AdamW.createSync({ w: dyadic(3, 1) });
  loadCheckpoint(optimizer, bytes);
  expect(split(encodeCheckpoint(optimizer)).header.__metadata__.kernel).toBe("simd");
});
