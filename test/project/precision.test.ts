/** examples/precision: what it trains is right, a short version of it runs, and the figures on the page are what training gives. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { roundToNearest } from "../../examples/precision/bfloat16.js";
import { contradictions } from "../../examples/precision/checks.js";
import { CONTENDERS } from "../../examples/precision/contenders.js";
import { publish, type Results } from "../../examples/precision/publish.js";
import { FULL } from "../../examples/precision/study.js";
import { train } from "../../examples/precision/training.js";
import { type Size, shapesOf, Transformer } from "../../examples/precision/transformer.js";
import { nearest } from "../../examples/shared/halves.js";
import { createRng } from "../../examples/shared/rng.js";
import { type ReferenceState, referenceStep } from "../reference.js";
import { expectSameBits } from "../support/bits.js";
import { decoded, encoded, rounded } from "../support/halves.js";
import { hyperOf } from "../support/model.js";
import { root } from "../support/root.js";

describe("the transformer", () => {
  const size: Size = { tokens: 7, length: 5, from: 2, width: 8, heads: 2, hidden: 12 };
  const model = new Transformer(size);
  const rng = createRng(3);
  const text = Uint8Array.from({ length: 20 }, () => Math.floor(size.tokens * rng()));
  const tensors = (fill: () => number) =>
    Object.fromEntries(
      Object.entries(shapesOf(size)).map(([name, [rows, columns]]) => [
        name,
        Float64Array.from({ length: rows * columns }, fill),
      ]),
    );

  it.each(Object.keys(shapesOf(size)))("%s: its gradient is the quotient of differences, within 1e-7", (name) => {
    const params = tensors(() => 2 * rng() - 1);
    const grads = tensors(() => 0);
    const loss = model.backward(params, grads, text, 3, 2);
    expect(loss).toBe(model.forward(params, text, 3));
    const [values, h] = [params[name]!, 1e-5];
    for (let i = 0; i < values.length; i += 3) {
      const value = values[i]!;
      const [above, below] = [value + h, value - h].map((x) => {
        values[i] = x;
        return model.forward(params, text, 3);
      }) as [number, number];
      values[i] = value;
      expect(Math.abs(grads[name]![i]! - (2 * (above - below)) / (2 * h))).toBeLessThan(1e-7);
    }
    expect(grads[name]!.some((grad) => Math.abs(grad) > 1e-3)).toBe(true);
  });

  it("no token sees a later one: the loss of the first places does not depend on the last token", () => {
    const params = tensors(() => 2 * rng() - 1);
    const short = new Transformer({ ...size, length: 3 });
    const other = text.slice();
    other[3 + 4] = (other[3 + 4]! + 1) % size.tokens;
    expect(short.forward(params, text, 3)).toBe(short.forward(params, other, 3));
    const upToThree = new Transformer({ ...size, length: 3, from: 2 }).forward(params, text, 3);
    const upToFour = new Transformer({ ...size, length: 4, from: 3 }).forward(params, text, 3);
    const both = new Transformer({ ...size, length: 4, from: 2 }).forward(params, text, 3);
    expect(both).toBeCloseTo((upToThree + upToFour) / 2, 12);
  });
});

describe("rounding to nearest", () => {
  const rng = createRng(5);
  const values = Float32Array.from({ length: 4000 }, (_, i) => (rng() - 0.5) * 10 ** ((i % 60) - 30));
  // Half way between two: to the even one.
  values.set([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 2 ** -133, 0, -0]);
  // The same in float16, among its smallest numbers, and where they end.
  values.set([1 + 2 ** -11, 1 + 3 * 2 ** -11, -1 - 2 ** -11, 2 ** -25, 3 * 2 ** -25, 5 * 2 ** -25, -(2 ** -15)], 6);
  values.set([1023.5 * 2 ** -24, 65504, 65519, 65520, -65536, Infinity], 13);

  it.each(["float16", "bfloat16"] as const)("%s: gives the nearest of all patterns", (format) => {
    expect(nearest(format, values)).toEqual(encoded(format, values));
    const scaled = values.map((value) => value * 1024);
    expect([...nearest(format, values, 1024)]).toEqual([...nearest(format, scaled)]);
  });

  it("in the control: a step of the reference, then both moments to the nearest, 50 times, with the same bits", async () => {
    const start = Float32Array.from({ length: 64 }, () => rng() - 0.5);
    const learner = await CONTENDERS["moments rounded to nearest"]({ w: start.slice() }, { lr: 0.01 });
    const zeros = () => new Float32Array(start.length);
    const state: ReferenceState = {
      ...{ param: start.slice(), grad: zeros(), expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros(), step: 0 },
    };
    for (let step = 0; step < 50; step++) {
      const grad = start.map(() => rng() - 0.5);
      learner.grads.w!.set(grad);
      state.grad.set(grad);
      learner.step();
      referenceStep(state, { mode: "adamw", ...hyperOf("adamw"), lr: 0.01, weightDecay: 0.01 });
      state.expAvg.set(rounded("bfloat16", state.expAvg));
      state.expAvgSq.set(rounded("bfloat16", state.expAvgSq));
    }
    expectSameBits("w", learner.params.w!, state.param);
    expectSameBits("v", learner.expAvgSq().w!, state.expAvgSq);
    learner.dispose();
  });

  it("in place leaves what a bfloat16 holds", () => {
    const copy = values.slice();
    roundToNearest(copy);
    expectSameBits("values", copy, decoded("bfloat16", nearest("bfloat16", values)));
  });
});

describe("a short version", () => {
  const out = mkdtempSync(join(tmpdir(), "precision-"));
  afterAll(() => rmSync(out, { recursive: true, force: true }));
  let text: string;
  let results: Results;
  beforeAll(() => {
    const args = ["--import", "tsx", "examples/precision/main.ts", "--quick", `--out=${out}`];
    text = execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    results = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as Results;
  });

  it("prints its tables, and leaves its pictures", () => {
    expect(text).toMatch(
      /\| mean of v .*\n\|-.*\n\| float32 .*\n\| bfloat16 moments .*\n\| moments rounded to nearest /,
    );
    expect(text).toMatch(/training 16 of 16 runs/);
    expect(text.match(/^\| (digits|words), (training|held out) /gm)).toHaveLength(8);
    expect(readdirSync(out).sort()).toEqual(["digits.svg", "results.json", "standstill.svg", "words.svg"]);
    for (const file of ["digits.svg", "standstill.svg", "words.svg"]) {
      const svg = readFileSync(join(out, file), "utf8");
      expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
      expect(svg).not.toMatch(/NaN|undefined/);
    }
  });

  it("shows of v what the page says, and of losses that those of 16 bits are within a deviation of the seeds", () => {
    const { runs, moments } = results;
    // A tenth of the steps is too few for the control to fall behind.
    expect(contradictions(runs, moments).filter((sentence) => !sentence.includes("is worse by"))).toEqual([]);
  });

  it("is not published", () => {
    expect(() => publish(results, new URL("file:///nowhere/"))).toThrow('"out/results.json": expected a full run');
  });
});

describe("docs/precision.md", () => {
  const page = readFileSync(join(root, "docs/precision.md"), "utf8");

  it("the words' training loss with bfloat16 moments is what training with each seed gives, in two digits of the mean", async () => {
    const region = /<!-- precision:losses -->\n(.*?)<!-- \/precision:losses -->/s.exec(page)![1]!;
    const [header, row] = [/^\| loss .*/m, /^\| words, training .*/m].map((line) =>
      line
        .exec(region)![0]
        .split("|")
        .map((cell) => cell.trim()),
    ) as [string[], string[]];
    const stated = Number(row[header.indexOf("bfloat16 moments")]!.split(" ")[0]);
    let sum = 0;
    for (const seed of FULL.seeds) {
      const outcome = await train({ task: "words", contender: "bfloat16 moments", seed, share: 1 });
      sum += outcome.at(-1)!.train;
    }
    expect(Math.abs(sum / FULL.seeds.length / stated - 1)).toBeLessThan(0.01);
  });
});
