/** What examples/decoupling makes of its figures, on figures that are known. */
import { describe, expect, it } from "vitest";
import {
  bestDecays,
  choose,
  compare,
  type Outcomes,
  oneForAll,
  resultOf,
  slopeOf,
} from "../../../examples/decoupling/analysis.js";
import { contradictions } from "../../../examples/decoupling/checks.js";
import { heatMaps } from "../../../examples/decoupling/heatMap.js";
import type { Job } from "../../../examples/decoupling/job.js";
import { comparisonTable, gridTable, slopeTable } from "../../../examples/decoupling/report.js";
import { RULE_NAMES } from "../../../examples/decoupling/rules.js";
import { leaveOneOut, summary, top } from "../../../examples/decoupling/statistics.js";
import { reduced, STUDIES, type Study } from "../../../examples/decoupling/study.js";

const decades = (from: number, count: number) => Array.from({ length: count }, (_, i) => 10 ** (from + i / 2));

const STUDY: Study = {
  task: "addition",
  steps: 5000,
  rates: [0.001, 0.01, 0.1],
  decays: { AdamW: decades(-3, 9), "Adam + L2": decades(-6, 9) },
  seeds: [1, 2, 3],
  freshSeeds: [101, 102, 103],
};

/** The best decay, in powers of ten, at a rate of 0.01, and by how many it moves with every power of ten in the rate. */
const TRUTH = { AdamW: { at: -1, slope: -0.15 }, "Adam + L2": { at: -4, slope: -1.1 } } as const;
/** How much a seed adds to the slope: nothing on average. */
const BEND: Readonly<Record<number, number>> = { 1: -0.1, 2: 0.1, 3: 0 };

/** Accuracy falls with the squared distance from the best decay, and so a parabola is exact. On test examples it is 0.1 lower. */
const OUTCOMES: Outcomes = ({ rule, lr, weightDecay, seed, heldOut }: Job) => {
  const { at, slope } = TRUTH[rule];
  const distance = Math.log10(weightDecay) - at - (slope + (BEND[seed] ?? 0)) * Math.log10(lr / 0.01);
  const best = (heldOut === "test" ? 0.8 : 0.9) + (rule === "AdamW" ? 0.002 * (seed % 3) : 0);
  const accuracy = best - 0.05 * distance ** 2;
  return { train: { loss: 0, accuracy: 1 }, heldOut: { loss: 2 - accuracy, accuracy } };
};

describe("statistics", () => {
  it("the top of a parabola through the highest point and its neighbours is that parabola's own, to 1e-12", () => {
    const xs = [-2, -1.7, -1, -0.7, 0, 0.3, 1];
    for (const at of [-1.2, -0.85, -0.1, 0.29]) {
      expect(Math.abs(top(xs.map((x) => ({ x, y: 3 - 2 * (x - at) ** 2 }))) - at)).toBeLessThan(1e-12);
    }
  });

  it("at an end it is the end, on a plateau its first point's or what its neighbours say", () => {
    expect(top([1, 2, 3].map((x) => ({ x, y: -x })))).toBe(1);
    expect(top([1, 2, 3].map((x) => ({ x, y: x })))).toBe(3);
    expect(top([0, 1, 1, 0].map((y, x) => ({ x, y })))).toBe(1.5);
    expect(top([5, 5, 5].map((y, x) => ({ x, y })))).toBe(0);
  });

  it("leaving one out gives a mean's standard error, s/√n, to 1e-12; of one value nothing", () => {
    const values = [3, 1, 4, 1, 5, 9, 2, 6];
    const mean = (some: readonly number[]) => some.reduce((a, b) => a + b, 0) / some.length;
    const squares = values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0);
    const error = Math.sqrt(squares / 7 / 8);
    expect(Math.abs(leaveOneOut(values, mean) - error)).toBeLessThan(1e-12);
    expect(summary(values)).toEqual({ mean: 31 / 8, deviation: Math.sqrt(squares / 7), error });
    expect(leaveOneOut([1], mean)).toBeNaN();
    expect(summary([2])).toEqual({ mean: 2, deviation: Number.NaN, error: Number.NaN });
  });
});

describe("a grid whose best decays are known", () => {
  it("gives them back, between those that were tried: slopes to 1e-9, and their errors by seed", () => {
    for (const rule of RULE_NAMES) {
      const { slope, error, at } = slopeOf(STUDY, OUTCOMES, rule);
      expect(Math.abs(slope - TRUTH[rule].slope), rule).toBeLessThan(1e-9);
      // Of the seeds' slopes -0.1, 0.1, 0 around it: s/√n.
      expect(Math.abs(error - 0.1 / Math.sqrt(3)), rule).toBeLessThan(1e-9);
      expect(Math.log10(at(0.01)), rule).toBeCloseTo(TRUTH[rule].at, 9);
      const { weightDecay } = bestDecays(STUDY, OUTCOMES, rule)[2]!;
      expect(Math.log10(weightDecay), rule).toBeCloseTo(TRUTH[rule].at + TRUTH[rule].slope, 9);
    }
  });

  it("one decay for all rates: the one in the middle, and what it loses at the others", () => {
    for (const rule of RULE_NAMES) {
      const { weightDecay, accuracy } = oneForAll(STUDY, OUTCOMES, rule);
      expect(Math.log10(weightDecay), rule).toBeCloseTo(TRUTH[rule].at, 9);
      // Seeds bend the slope, which adds their variance; AdamW's have 0.002 more on average.
      const lost = (0.05 * 2 * (TRUTH[rule].slope ** 2 + 0.02 / 3)) / 3;
      expect(accuracy, rule).toBeCloseTo(0.9 - lost + (rule === "AdamW" ? 0.002 : 0), 9);
    }
  });

  it("chooses the lowest loss and the highest accuracy, and says when that is the end of what was tried", () => {
    const none = { ...STUDY, seeds: [3] };
    const middle = choose(none, OUTCOMES, "AdamW", "loss");
    expect(choose(none, OUTCOMES, "AdamW", "accuracy")).toEqual(middle);
    expect([middle.lr, Math.log10(middle.weightDecay), middle.atEdge]).toEqual([0.01, -1, false]);
    const edge = choose({ ...none, rates: [0.01, 0.1] }, OUTCOMES, "AdamW", "loss");
    expect([edge.lr, edge.atEdge]).toEqual([0.01, true]);
  });

  it("compares seed by seed, AdamW's less the other's: higher accuracy and lower loss win", () => {
    const byAccuracy = compare(STUDY, OUTCOMES, "accuracy");
    const byLoss = compare(STUDY, OUTCOMES, "loss");
    // Seeds 101, 102, 103 leave 2, 0, 1 when divided by 3: the first and the last are better by 0.004 and 0.002.
    expect(byAccuracy.difference.mean).toBeCloseTo(0.002, 9);
    expect(byLoss.difference.mean).toBeCloseTo(-0.002, 9);
    expect([byAccuracy.wins, byLoss.wins]).toEqual([2, 2]);
    // On the examples that nothing was chosen by.
    expect(byAccuracy.rules.AdamW.result.mean).toBeCloseTo(0.802, 9);
    expect(byAccuracy.rules["Adam + L2"].result.mean).toBeCloseTo(0.8, 9);
    expect(byLoss.rules["Adam + L2"].result.mean).toBeCloseTo(1.2, 9);
  });

  it("is printed: the largest rate first, the best of each row in bold, λ as it was tried", () => {
    const [header, , first, ...rest] = gridTable(STUDY, OUTCOMES, "AdamW").split("\n");
    expect(header).toMatch(/^\| rate \\ λ +\| +1e-3 \| +0\.0032 \| .* \| +10 \|$/);
    const { accuracy } = resultOf(STUDY, OUTCOMES, { rule: "AdamW", lr: 0.1, weightDecay: STUDY.decays.AdamW[4]! });
    expect(first).toMatch(/^\| 0\.1 /);
    expect(first).toContain(`**${(100 * accuracy).toFixed(1)}**`);
    expect(rest).toHaveLength(2);
    const slopes = slopeTable(STUDY, OUTCOMES);
    expect(slopes).toMatch(/per power of ten in the rate +\| +−0\.15 ± 0\.06 \| +−1\.10 ± 0\.06 \|/);
    expect(slopes).toMatch(/best λ at rate 0\.01 +\| +0\.1 \| +1e-4 \|/);
    expect(comparisonTable([STUDY], OUTCOMES, "accuracy")).toMatch(/\| \+0\.20 ± 0\.12 \| +2 of 3 \|$/);
  });

  it("is drawn: a number in every cell, a dot for every rate and a line for each rule, and the same in words", () => {
    const svg = heatMaps(STUDY, OUTCOMES);
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg.match(/<rect /g)).toHaveLength(2 * 3 * 9);
    expect(svg.match(/<circle /g)).toHaveLength(2 * 3);
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).toContain("ten times the rate, decay divided by 1.4");
    expect(svg).toContain("ten times the rate, decay divided by 12.6");
    const words = /<desc>(.*)<\/desc>/.exec(svg)![1]!;
    expect(words).toMatch(/^AdamW, held-out accuracy in % by decay\. rate 0\.001: \d+ at 1e-3, /);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("does not contradict the demo; with the rules exchanged it does, in every point", () => {
    expect(contradictions([STUDY], OUTCOMES)).toEqual([]);
    const exchanged: Outcomes = (job) => {
      const rule = job.rule === "AdamW" ? "Adam + L2" : "AdamW";
      return OUTCOMES({ ...job, rule, weightDecay: job.weightDecay * (rule === "AdamW" ? 1e3 : 1e-3) });
    };
    const found = contradictions([STUDY], exchanged);
    expect(found.map((sentence) => sentence.split(":")[0])).toEqual(["AdamW", "Adam + L2", "one decay for all rates"]);
    const spam = { ...STUDY, task: "spam, counts" as const };
    expect(contradictions([spam], exchanged)[0]).toMatch(/^spam, counts: AdamW's loss is lower by -0\.002/);
    const apart: Outcomes = (job) => {
      const { heldOut, train } = OUTCOMES(job);
      return { train, heldOut: { ...heldOut, accuracy: heldOut.accuracy + (job.rule === "AdamW" ? 0.03 : 0) } };
    };
    expect(contradictions([{ ...STUDY, task: "digits" }], apart)[0]).toMatch(/^digits: accuracies differ by 0\.03/);
  });
});

describe("the studies", () => {
  it.each(STUDIES)("$task: both rules at the same rates and seeds; fresh seeds are others", (study) => {
    const { rates, decays, seeds, freshSeeds } = study;
    for (const values of [rates, ...Object.values(decays), seeds, freshSeeds]) {
      expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    }
    expect(seeds.filter((seed) => freshSeeds.includes(seed))).toEqual([]);
    const { rates: some } = reduced(study);
    expect(some.length).toBeGreaterThan(1);
    expect(rates).toEqual(expect.arrayContaining([...some]));
  });

  it("addition's decays: three powers of ten each, in steps of 1, 2, 5", () => {
    const { decays } = STUDIES[0]!;
    expect(decays.AdamW).toEqual([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]);
    expect(decays["Adam + L2"]).toEqual([1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3]);
  });
});
