/** Parts of tensors: each rank of several owns some rows, and together they are one optimizer. */
import { AdamW } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint, toOptax, toTfjs, toTorch } from "fused-adam/checkpoint";
import { describe, expect, it } from "vitest";
import { typedError } from "../checkpoint/support.js";
import { CASES, expectSame, ranksOf, train, wholeOf } from "../shards/support.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic } from "../support/model.js";

describe.each(Object.entries(CASES))("%s", (_, { make, step = {} }) => {
  it.each([1, 2, 3, 5])("on %i ranks has every bit of one optimizer", (ranks) => {
    const whole = wholeOf(make);
    const parts = ranksOf(make, ranks);
    train([whole], step, 0, 40);
    train(parts, step, 0, 40);
    expectSame(parts, whole);
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
