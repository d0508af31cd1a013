/** `maxSkipped`: how many steps in a row may be skipped. */
import { AdamW, type StepOptions } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { expect, it } from "vitest";
import { expectSamePrint, fillGrads, fingerprint, stateError, Twins, typeError } from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";

const make = () => AdamW.createSync({ a: dyadic(5, 1), b: dyadic(16, 2) });
const LIMIT = stateError("maxSkipped", "ERR_SKIPPED");

/** One step with good gradients, or with one that is not finite. */
function go(optimizer: Optimizer, isGood: boolean, options: StepOptions) {
  fillGrads(optimizer, 1);
  if (!isGood) optimizer.grad("b")[3] = Infinity;
  return optimizer.step(options);
}

it("counts skipped steps in a row, and begins again after one that was taken", () => {
  const optimizer = make();
  const counts = [..."gbbgbbbg"].map((kind) => go(optimizer, kind === "g", { maxSkipped: 3 }));
  expect(counts.map(({ skippedInARow }) => skippedInARow)).toEqual([0, 1, 2, 0, 1, 2, 3, 0]);
  expect(counts.map(({ skipped }) => skipped)).toEqual([false, true, true, false, true, true, true, false]);
  expect(optimizer.steps).toBe(3);
});

it.each([0, 1, 4])(
  "%d in a row are skipped, one more throws, again and again, until a good one",
  async (maxSkipped) => {
    for (const how of [{}, { skipNonFinite: true }, { clipNorm: 1 }, { zeroGrad: true }, { gradNorm: NaN }]) {
      const optimizer = make();
      const options = { ...how, maxSkipped };
      for (let i = 0; i < maxSkipped; i++) expect(go(optimizer, false, options).skipped).toBe(true);
      for (let i = 0; i < 3; i++) {
        expect(() => go(optimizer, false, options)).toThrow(
          expect.objectContaining({ code: "ERR_SKIPPED", constructor: Error }),
        );
        await expect(optimizer.stepAsync(options)).rejects.toMatchObject({ code: "ERR_SKIPPED" });
      }
      // The gradients are as they were, also with `zeroGrad`.
      expect(optimizer.grad("b")[3]).toBe(Infinity);
      expect(optimizer.steps).toBe(0);
      if (!("gradNorm" in how)) expect(go(optimizer, true, options)).toMatchObject({ step: 1, skippedInARow: 0 });
    }
  },
);

it("the refused step changes nothing: the next has the bits of an optimizer that never saw it", async () => {
  const bad = (victim: Optimizer) => {
    const kept = victim.grad("a").slice();
    victim.grad("a")[0] = NaN;
    try {
      victim.step({ maxSkipped: 0, clipNorm: 1, zeroGrad: true });
    } finally {
      victim.grad("a").set(kept);
    }
  };
  await new Twins(make).refuses(bad, LIMIT);
});

it("steps without the option count, too, but neither throw nor tell", () => {
  const optimizer = make();
  for (let i = 0; i < 5; i++) {
    expect(go(optimizer, false, { skipNonFinite: true })).toEqual({ step: 0, skipped: true, gradNorm: Infinity });
  }
  expect(() => go(optimizer, false, { maxSkipped: 5 })).toThrow(expect.objectContaining({ code: "ERR_SKIPPED" }));
  expect(go(optimizer, false, { maxSkipped: 6 }).skippedInARow).toBe(6);
  go(optimizer, true, {});
  expect(go(optimizer, false, { maxSkipped: 1 }).skippedInARow).toBe(1);
});

it("a state that is loaded begins the count anew", () => {
  const optimizer = make();
  const loads = [
    (bytes: Uint8Array) => void loadCheckpoint(optimizer, bytes),
    () => void optimizer.loadStateDict(make().stateDict()),
  ];
  for (const load of loads) {
    const bytes = encodeCheckpoint(optimizer);
    for (let i = 0; i < 2; i++) go(optimizer, false, { maxSkipped: 2 });
    load(bytes);
    expect(go(optimizer, false, { maxSkipped: 2 }).skippedInARow).toBe(1);
    // A load that is refused does not.
    expect(() => optimizer.loadStateDict({} as never)).toThrow();
    expect(go(optimizer, false, { maxSkipped: 2 }).skippedInARow).toBe(2);
    go(optimizer, true, {});
  }
});

it("what is no count is refused", () => {
  const optimizer = make();
  const before = fingerprint(optimizer);
  for (const value of ["3", null, true, 3n, [3]]) {
    expect(() => optimizer.step({ maxSkipped: value as never })).toThrow(
      expect.objectContaining({ code: typeError("maxSkipped").code }),
    );
  }
  for (const value of [-1, 0.5, NaN, Infinity]) {
    expect(() => optimizer.step({ maxSkipped: value })).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  }
  expectSamePrint(fingerprint(optimizer), before);
});
