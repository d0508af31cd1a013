/** What holds for shards, however they get from one set of ranks to another. */
import { AdamW, type LoadReport } from "fused-adam";
import { expect, it } from "vitest";
import type { Optimizer } from "../support/model.js";
import { CASES, expectSame, LARGE, ranksOf, train, wholeOf } from "./support.js";

/** From all of these ranks to all of those. @returns what each of those was told */
export type Move = (from: readonly Optimizer[], to: readonly Optimizer[]) => Promise<LoadReport[]>;

export function reshards(moved: Move): void {
  const move = async (from: readonly Optimizer[], to: readonly Optimizer[]) => {
    const whole = { missing: [], unexpected: [], mismatched: [], params: true };
    expect(await moved(from, to)).toEqual(to.map(({ names }) => ({ loaded: names, ...whole })));
  };

  it.each(Object.entries(CASES))(
    "2, 3, 1 and 5 ranks after each other have every bit of one process: %s",
    async (_, { make, step = {} }) => {
      const whole = wholeOf(make, LARGE);
      let parts: Optimizer[] = [];
      for (const [i, ranks] of [2, 3, 1, 5].entries()) {
        const next = ranksOf(make, ranks, LARGE);
        if (i > 0) {
          // What is there already has to go.
          train(next, step, 90, 92, LARGE);
          await move(parts, next);
        }
        parts = next;
        train([whole], step, 10 * i, 10 * i + 10, LARGE);
        train(parts, step, 10 * i, 10 * i + 10, LARGE);
        expectSame(parts, whole);
      }
    },
  );

  it("without a step, with a schedule", async () => {
    const { make } = CASES["AMSGrad, ascent, a schedule"]!;
    const to = ranksOf(make, 3);
    train(to, {}, 0, 3);
    await move(ranksOf(make, 2), to);
    expectSame(to, wholeOf(make));
  });

  it("owners in any order, whole tensors, ranks that own nothing", async () => {
    const make = (owned: Record<string, [number, number]>) =>
      AdamW.createSync(
        Object.fromEntries(
          Object.entries({ a: [6, 2], b: [3] }).map(([name, shape]) => [name, { shape, rows: owned[name] ?? [2, 2] }]),
        ),
      );
    const from = [make({ a: [4, 6] }), make({}), make({ b: [0, 3], a: [0, 4] }), make({})];
    for (const part of from) {
      for (const name of ["a", "b"]) part.param(name).set(Array.from(part.param(name), (_, i) => i + 1));
      part.step();
    }
    const to = [make({}), make({ a: [3, 5], b: [1, 2] })];
    await move(from, to);
    expect([...to[1]!.param("a")]).toEqual([7, 8, 1, 2].map((value) => expect.closeTo(value, 1)));
    expect(to[0]!.steps).toBe(1);
    expect([...to[1]!.param("b")]).toEqual([expect.closeTo(2, 1)]);
  });
}
