/** Parameters as they are given: what is read, when it is copied, and what a hostile one can do. */
import { runInNewContext } from "node:vm";
import { AdamW, type ParamSet } from "fused-adam";
import { describe, expect, it, vi } from "vitest";
import { caught, detach, expectSamePrint, fingerprint, resizable } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic } from "../support/model.js";

describe("what is legal is read as it is meant", () => {
  const read = (source: ParamSet[keyof ParamSet]) => {
    const optimizer = AdamW.createSync({ w: source as Float32Array });
    optimizer.addParamGroup({ params: { v: source as Float32Array } });
    expectSameBits("added", optimizer.param("v"), optimizer.param("w"));
    return optimizer.param("w");
  };

  it("a subarray's own window, copied", () => {
    const all = dyadic(20, 1);
    const window = all.subarray(3, 9);
    const expected = all.slice(3, 9);
    const optimizer = AdamW.createSync({ w: window, v: { shape: [2, 2], data: all.subarray(5, 9) } });
    all.fill(7);
    expectSameBits("w", optimizer.param("w"), expected);
    expectSameBits("v", optimizer.param("v"), expected.subarray(2));
  });

  it("an array of another realm, of shared memory, of a subclass, of a resizable buffer", () => {
    const foreign = runInNewContext("new Float32Array([1.5, -0, 3])") as Float32Array;
    expect(foreign instanceof Float32Array).toBe(false);
    expectSameBits("realm", read(foreign), new Float32Array([1.5, -0, 3]));
    expectSameBits(
      "realm",
      read(runInNewContext("({ shape: [2, 1], data: new Float32Array([4, 5]) })")),
      new Float32Array([4, 5]),
    );
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    expectSameBits("shared", read(shared), new Float32Array([1, 2]));
    class Sub extends Float32Array {}
    expectSameBits("subclass", read(new Sub([1, 2])), new Float32Array([1, 2]));
    const buffer = resizable(16, 32);
    const tracking = new Float32Array(buffer);
    buffer.resize(8);
    tracking.set([3, 4]);
    expectSameBits("tracking", read(tracking), new Float32Array([3, 4]));
  });

  it("every bit of a value, NaN payloads aside", () => {
    const specials = new Float32Array([NaN, -0, 2 ** -149, -(2 ** -126), Infinity, -Infinity, 3.4028234663852886e38]);
    expectSameBits("specials", read(specials), specials);
  });

  it("empty arrays, scalars, and dimensions of 0 and 1", () => {
    expect(read(new Float32Array(0)).length).toBe(0);
    expect(read({ shape: [] }).length).toBe(1);
    expect(read({ shape: [3, 0, 2] }).length).toBe(0);
    expectSameBits("scalar", read({ shape: [], data: new Float32Array([5]) }), new Float32Array([5]));
    expectSameBits("ones", read({ shape: [1, 1], data: new Float32Array([6]) }), new Float32Array([6]));
    expectSameBits("zeros", read({ shape: [2, 2], data: undefined }), new Float32Array(4));
  });

  it("values that lie in the optimizer's own memory, also when adding them moves it", () => {
    const optimizer = AdamW.createSync({ w: dyadic(5, 1) });
    const data = optimizer.param("w").subarray(1, 4);
    optimizer.addParamGroup({ params: { own: data, big: { shape: [100000] } } });
    expect(data.length).toBe(0);
    expectSameBits("own", optimizer.param("own"), dyadic(5, 1).subarray(1, 4));
    expectSameBits("w", optimizer.param("w"), dyadic(5, 1));
  });
});

it("a shape with a 0 in it is empty, however large its other dimensions", () => {
  const huge = Array.from({ length: 25 }, () => 2 ** 53 - 1);
  for (const shape of [
    [0, ...huge],
    [...huge, 0],
  ]) {
    expect(AdamW.createSync({ w: { shape } }).param("w").length).toBe(0);
  }
});

describe("values that change while a group is read", () => {
  /** Whether the call succeeds or fails as it should, and nothing in between. */
  async function allOrNothing(params: () => ParamSet, expected: Record<string, Float32Array>): Promise<void> {
    const make = () => AdamW.createSync({ first: dyadic(5, 1) });
    const victim = make();
    const before = fingerprint(victim);
    const outcome = await caught(() => {
      victim.addParamGroup({ params: params() });
      throw new Error("added");
    });
    if ((outcome as Error).message === "added") {
      for (const [name, values] of Object.entries(expected)) expectSameBits(name, victim.param(name), values);
      return;
    }
    expect((outcome as { code?: string }).code, String(outcome)).toMatch(/^ERR_/);
    expectSamePrint(fingerprint(victim), before);
    // Nor has anything been set aside for it.
    const twin = make();
    for (const optimizer of [victim, twin]) optimizer.addParamGroup({ params: { next: dyadic(3, 1) } });
    expectSamePrint(fingerprint(victim), fingerprint(twin));
  }

  const last = (then: () => unknown) => ({
    get shape() {
      then();
      return [2];
    },
  });

  it("detached after they were checked", async () => {
    await allOrNothing(
      () => {
        const w = dyadic(4, 1);
        return { w, v: last(() => detach(w)) };
      },
      { w: dyadic(4, 1), v: new Float32Array(2) },
    );
  });

  it("shrunk or grown after they were checked", async () => {
    for (const bytes of [8, 32]) {
      await allOrNothing(
        () => {
          const buffer = resizable(16, 64);
          const w = new Float32Array(buffer);
          w.set(dyadic(4, 1));
          return { w, v: last(() => buffer.resize(bytes)) };
        },
        { w: dyadic(4, 1), v: new Float32Array(2) },
      );
    }
  });

  it("an array whose length property lies", async () => {
    const lying = (claimed: number) => Object.defineProperty(dyadic(4, 1), "length", { value: claimed });
    for (const claimed of [2, 6]) {
      await allOrNothing(() => ({ w: { shape: [4], data: lying(claimed) } }), { w: dyadic(4, 1) });
      await allOrNothing(() => ({ w: lying(claimed) }), { w: dyadic(4, 1) });
    }
  });
});

describe("one array under two names", () => {
  /** What is said of an optimizer of these parameters. */
  function saidOf(params: ParamSet): unknown[] {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    try {
      const optimizer = AdamW.createSync(params);
      for (const name of optimizer.names) optimizer.grad(name).fill(optimizer.names.indexOf(name) - 1);
      optimizer.step();
      return warn.mock.calls.flat();
    } finally {
      warn.mockRestore();
    }
  }
  const values = dyadic(8, 1);

  it("is copied twice, and windows of one buffer are no such case", () => {
    const params = { w: values.subarray(0, 4), v: values.subarray(4), none: values.subarray(0, 0), all: values };
    expect(saidOf({ ...params, also: new Float32Array(values.buffer, 4, 0), copy: values.slice() })).toEqual([]);
  });

  it("is warned about, once, by both names", () => {
    const other = dyadic(6, 2);
    const params = { embedding: other, b: values, head: { shape: [2, 3], data: other }, again: other };
    const warned = "fused-adam: one array under two names becomes two parameters; give tied weights once:";
    expect(saidOf(params)).toEqual([warned, "embedding", "head"]);
    expect(saidOf(params)).toEqual([]);
  });

  it("makes parameters that part with the first step", () => {
    const optimizer = AdamW.createSync({ a: values, b: values });
    expectSameBits("at first", optimizer.param("a"), optimizer.param("b"));
    optimizer.grad("a").fill(1);
    optimizer.grad("b").fill(-1);
    optimizer.step();
    expect(optimizer.param("a")[0]).toBeLessThan(optimizer.param("b")[0]!);
  });
});
