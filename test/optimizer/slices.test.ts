/** Parts of tensors: each rank of several owns some rows, and together they are one optimizer. */
import { Adam, type AdamOptions, AdamW, type ParamSet, type StepOptions } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint, toOptax, toTfjs, toTorch } from "fused-adam/checkpoint";
import { describe, expect, it } from "vitest";
import { typedError } from "../checkpoint/support.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, type Optimizer } from "../support/model.js";

const SHAPES: Record<string, number[]> = { w: [7, 5], b: [4], scalar: [], empty: [0, 3], hollow: [3, 0] };
const NAMES = Object.keys(SHAPES);
const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Which rows a rank owns of a tensor with so many: uneven ones, and of small tensors often none. */
function rowsOf(all: number, rank: number, ranks: number): [number, number] {
  const cut = (i: number) => Math.floor(all * (i / ranks) ** 2);
  return [cut(rank), cut(rank + 1)];
}

function paramsOf(
  rank: number,
  ranks: number,
): Record<string, { shape: number[]; rows: [number, number]; data: Float32Array }> {
  return Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape], seed) => {
      const rows = rowsOf(shape[0] ?? 1, rank, ranks);
      const row = sizeOf(shape.slice(1));
      return [name, { shape, rows, data: dyadic(sizeOf(shape), seed).slice(rows[0] * row, rows[1] * row) }];
    }),
  );
}

type Make = (params: ParamSet) => Optimizer;
const lr = (t: number) => 0.01 / t;
const CASES: Record<string, { make: Make; step?: StepOptions }> = {
  AdamW: { make: (params) => AdamW.createSync(params) },
  "Adam with coupled decay": { make: (params) => Adam.createSync(params, { weightDecay: 0.1 }) },
  "AMSGrad, ascent, a schedule": {
    make: (params) => AdamW.createSync(params, { amsgrad: true, maximize: true, lr, biasCorrection: false }),
  },
  "clipping and loss scaling": {
    make: (params) => AdamW.createSync(params),
    step: { clipNorm: 0.5, gradScale: 4, zeroGrad: true, skip: ["b"] },
  },
  "the TypeScript kernels": { make: (params) => AdamW.createSync(params, { kernel: "scalar" } as AdamOptions) },
  "two groups": {
    make: (params) => {
      const { w, ...rest } = params as Record<string, Float32Array>;
      return AdamW.createSync([
        { params: { w: w! }, weightDecay: 0.2 },
        { params: rest, eps: 1e-3 },
      ]);
    },
  },
};

describe.each(Object.entries(CASES))("%s", (_, { make, step = {} }) => {
  it.each([1, 2, 3, 5])("on %i ranks has every bit of one optimizer", (ranks) => {
    const whole = make(
      Object.fromEntries(
        NAMES.map((name, i) => [name, { shape: SHAPES[name]!, data: dyadic(sizeOf(SHAPES[name]!), i) }]),
      ),
    );
    const parts = Array.from({ length: ranks }, (_, rank) => make(paramsOf(rank, ranks)));
    for (let t = 0; t < 40; t++) {
      for (const [i, name] of NAMES.entries()) {
        const grad = dyadic(sizeOf(SHAPES[name]!), 10 * t + i);
        whole.grad(name).set(grad);
        parts.forEach((part, rank) => {
          const first = rowsOf(SHAPES[name]![0] ?? 1, rank, ranks)[0] * sizeOf(SHAPES[name]!.slice(1));
          part.setGrad(name, grad.subarray(first, first + part.grad(name).length));
        });
      }
      const { skip = [], gradScale = 1 } = step;
      const total = parts.reduce((sum, part) => sum + part.sumOfSquares({ skip, gradScale }), 0);
      const result = whole.step(step);
      for (const part of parts) expect(part.step({ ...step, gradNorm: Math.sqrt(total) })).toEqual(result);
    }
    const state = whole.stateDict().state;
    for (const name of NAMES) {
      const join = (of: (optimizer: Optimizer) => Float32Array) =>
        Float32Array.from(parts.flatMap((part) => [...of(part)]));
      expectSameBits(
        name,
        join((part) => part.param(name)),
        whole.param(name),
      );
      for (const key of [
        "exp_avg",
        "exp_avg_sq",
        ...("max_exp_avg_sq" in state[name]! ? ["max_exp_avg_sq" as const] : []),
      ] as const)
        expectSameBits(
          `${name}.${key}`,
          join((part) => part.stateDict().state[name]![key]!),
          state[name]![key]!,
        );
    }
  });
});

describe("a rank that owns nothing", () => {
  const nothing = () => AdamW.createSync({ w: { shape: [7, 5], rows: [3, 3] }, scalar: { shape: [], rows: [1, 1] } });

  it.each([1, 2])("steps and counts, on %i threads", async (threads) => {
    const optimizer = await AdamW.create({ w: { shape: [9], rows: [9, 9] } }, { threads });
    expect(optimizer.param("w").length).toBe(0);
    expect(optimizer.sumOfSquares()).toBe(0);
    expect(optimizer.step({ clipNorm: 1, gradNorm: 5, zeroGrad: true })).toEqual({
      step: 1,
      skipped: false,
      gradNorm: 5,
    });
    expect(await optimizer.stepAsync({ clipNorm: 1 })).toEqual({ step: 2, skipped: false, gradNorm: 0 });
    expect(optimizer.steps).toBe(2);
    optimizer.dispose();
  });

  it("gives a state that loads", () => {
    const [from, to] = [nothing(), nothing()];
    from.step();
    to.loadStateDict(from.stateDict());
    expect(to.stateDict()).toEqual(from.stateDict());
    expect(to.steps).toBe(1);
  });

  it("whose tensors are empty as a whole has checkpoints as well", () => {
    const make = () => AdamW.createSync({ a: { shape: [0, 4] }, b: { shape: [0], rows: [0, 0] } });
    const [from, to] = [make(), make()];
    from.step();
    loadCheckpoint(to, encodeCheckpoint(from, { params: true }));
    expect(to.stateDict()).toEqual(from.stateDict());
    expect(to.stateDict().state.a!.step).toBe(1);
  });
});

describe("pointers", () => {
  const at = { param: 1024, grad: 1088, expAvg: 1152, expAvgSq: 1216 };
  const create = (pointers: object) =>
    AdamW.createSync({ w: { ...at, ...pointers } as never }, { memory: new WebAssembly.Memory({ initial: 1 }) });

  it("have a shape, which checkpoints keep, and rows", () => {
    const from = create({ length: 6, shape: [2, 3] });
    from.param("w").set(dyadic(6, 1));
    from.step();
    const to = AdamW.createSync({ w: { shape: [2, 3] } });
    loadCheckpoint(to, encodeCheckpoint(from, { params: true }));
    expectSameBits("w", to.param("w"), from.param("w"));
    const part = create({ length: 6, shape: [9, 3], rows: [4, 6] });
    expect(part.param("w").length).toBe(6);
    expect(part.stateDict().state.w!.rows).toEqual([4, 6]);
    expect(create({ length: 2, rows: [0, 2] }).stateDict().state.w!.rows).toBeUndefined();
  });

  it.each([
    [{ length: 5, shape: [2, 3] }, "params.w.length", "ERR_SHAPE_MISMATCH"],
    [{ length: 6, shape: [9, 3], rows: [4, 5] }, "params.w.length", "ERR_SHAPE_MISMATCH"],
    [{ length: 6, shape: [9, 3], rows: [8, 10] }, "params.w.rows", "ERR_OUT_OF_RANGE"],
    [{ length: 6, rows: [1, 6] }, "params.w.length", "ERR_SHAPE_MISMATCH"],
    [{ length: 6, shape: null }, "params.w.shape", "ERR_INVALID_TYPE"],
  ])("that do not agree are refused: %o", (pointers, label, code) => {
    expect(typedError(() => create(pointers))).toMatchObject({ code, message: expect.stringContaining(`"${label}"`) });
  });
});

it("a name is a tensor: a second part of it in the same optimizer is refused", () => {
  const part = (rows: [number, number]) => ({ params: { w: { shape: [4], rows } } });
  const duplicate = expect.objectContaining({ code: "ERR_DUPLICATE_NAME" });
  expect(() => AdamW.createSync([part([0, 2]), part([2, 4])])).toThrow(duplicate);
  expect(() => AdamW.createSync([part([0, 2])]).addParamGroup(part([2, 4]))).toThrow(duplicate);
});

describe("a part is not taken for the whole", () => {
  const part = (rows?: [number, number], shape = [4, 2]) => AdamW.createSync({ w: { shape, ...(rows && { rows }) } });

  it("its state fits the same part only", () => {
    const state = part([0, 2]).stateDict();
    expect(state.state.w!.rows).toEqual([0, 2]);
    part([0, 2]).loadStateDict(state);
    for (const other of [part([2, 4]), part([1, 3]), part(undefined, [2, 2])]) {
      expect(typedError(() => other.loadStateDict(state))).toMatchObject({
        code: "ERR_STATE_MISMATCH",
        message: expect.stringMatching(/^"state\.w\.rows": expected \[.*\], got \[0, 2\]$/),
      });
    }
    expect(typedError(() => part([0, 2]).loadStateDict(part(undefined, [2, 2]).stateDict()))).toMatchObject({
      message: '"state.w.rows": expected [0, 2], got []',
    });
    for (const rows of [3, null, "02", [0, "2"], [Symbol("rows")]]) {
      const wrong = { ...state, state: { w: { ...state.state.w!, rows: rows as never } } };
      expect(typedError(() => part([0, 2]).loadStateDict(wrong))).toMatchObject({ code: "ERR_INVALID_TYPE" });
    }
  });

  it("plain checkpoints and the layouts of other libraries refuse it", () => {
    const slice = part([0, 2]);
    const refused = {
      name: "RangeError",
      code: "ERR_STATE_MISMATCH",
      message: expect.stringContaining("fused-adam/shards"),
    };
    expect(typedError(() => encodeCheckpoint(slice))).toMatchObject(refused);
    const whole = encodeCheckpoint(part());
    expect(typedError(() => loadCheckpoint(slice, whole))).toMatchObject(refused);
    for (const to of [toTorch, toTfjs, toOptax]) {
      const error = typedError(() => to(slice.stateDict(), ["w"]));
      expect(error).toMatchObject({ code: "ERR_STATE_MISMATCH", message: expect.stringContaining("some of its rows") });
    }
  });

  it("all of the rows are no part", () => {
    const all = part([0, 4]);
    loadCheckpoint(part(), encodeCheckpoint(all));
    expect(all.stateDict().state.w!.rows).toBeUndefined();
  });
});
