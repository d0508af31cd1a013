/** What the grid's page is made of, where no browser is needed: its runs, its words, its colours. */
import { describe, expect, test } from "vitest";
import { type Cell, cellsOf } from "../../examples/decoupling/study.js";
import { colours } from "../../examples/web/grid/colours.js";
import { CELLS, GRID, Runs } from "../../examples/web/grid/runs.js";
import { bestRows, cellText, claimText, progressText, toCsv } from "../../examples/web/grid/texts.js";
import { contrast } from "./contrast.js";

/** Accuracy as a parabola over log λ, with its top at 0.5 under AdamW and at 1e-6 divided by the rate under L2. */
function accuracyOf({ rule, lr, weightDecay }: Cell): number {
  const best = rule === "AdamW" ? 0.5 : 1e-6 / lr;
  return 0.8 - 0.02 * Math.log10(weightDecay / best) ** 2;
}

/** Points of a run, as a worker would report them, up to a step. */
function train(runs: Runs, cell: Cell, seed: number, steps = GRID.steps): void {
  for (const step of [0, 2500, GRID.steps].filter((step) => step <= steps)) {
    const accuracy = (accuracyOf(cell) * step) / GRID.steps + (seed === 2 ? 0.1 : 0);
    runs.add({ ...cell, seed, steps: GRID.steps }, { step, accuracy, loss: 1 });
  }
}

const cell: Cell = { rule: "AdamW", lr: 0.07, weightDecay: 0.5 };

describe("the runs of the grid", () => {
  test("are those of both rules in turn, each once", () => {
    expect(CELLS).toHaveLength(100);
    expect(new Set(CELLS.map((cell) => JSON.stringify(cell))).size).toBe(100);
    expect(CELLS.filter((_, i) => i % 2 === 0)).toEqual(cellsOf(GRID, "AdamW").toReversed());
  });

  test("a cell shows what its first run has, then its end, then the mean over seeds that ended", () => {
    const runs = new Runs();
    expect([runs.accuracy(cell), runs.isRunning(cell)]).toEqual([undefined, false]);
    expect(cellText(runs, cell)).toBe("AdamW, α = 0.07, λ = 0.5: not trained yet");
    train(runs, cell, 1, 2500);
    expect([runs.accuracy(cell), runs.isRunning(cell), runs.done]).toEqual([0.4, true, 0]);
    expect(cellText(runs, cell)).toBe("AdamW, α = 0.07, λ = 0.5: 40.0 % after 2,500 steps, under way");
    train(runs, cell, 1);
    expect([runs.accuracy(cell), runs.isRunning(cell), runs.done]).toEqual([0.8, false, 1]);
    expect(cellText(runs, cell)).toBe("AdamW, α = 0.07, λ = 0.5: 80.0 % after 5,000 steps, one seed");
    train(runs, cell, 2, 2500);
    expect([runs.accuracy(cell), runs.isRunning(cell)]).toEqual([0.8, true]);
    expect(runs.curve(cell).map(({ accuracy }) => accuracy)).toEqual([0.05, 0.45, 0.8]);
    runs.dropUnfinished();
    expect([runs.isRunning(cell), runs.seeds(cell)]).toEqual([false, [1]]);
    train(runs, cell, 2);
    expect(runs.accuracy(cell)).toBeCloseTo(0.85, 12);
    expect(cellText(runs, cell)).toBe("AdamW, α = 0.07, λ = 0.5: 85.0 % after 5,000 steps, 2 seeds");
  });

  test("what the grid says, it says of seeds that every cell has; the slopes are those of the figures", () => {
    const runs = new Runs();
    for (const [i, cell] of CELLS.entries()) {
      expect(claimText(runs)).toBe("");
      expect(bestRows(runs)).toEqual([]);
      expect(progressText(runs, 1, 2)).toBe(`Seed 1: ${i} of 100 runs, by 2 workers`);
      train(runs, cell, 1);
    }
    for (const cell of CELLS.slice(1)) train(runs, cell, 2);
    expect(progressText(runs, 2, 1)).toBe("Seed 2: 99 of 100 runs, by one worker");
    const text = claimText(runs);
    expect(text).toMatch(
      /^From one seed\. AdamW: with ten times the rate, the best decay is (divided|multiplied) by 1\.0;/,
    );
    expect(text).toMatch(/Adam \+ L2: with ten times the rate, the best decay is divided by 10\.0;/);
    expect(bestRows(runs)).toEqual([
      ["0.2", "0.5", "5e-6"],
      ["0.07", "0.5", "1.4e-5"],
      ["0.025", "0.5", "4e-5"],
      ["0.009", "0.5", "1.1e-4"],
      ["0.003", "0.5", "3.3e-4"],
    ]);
    train(runs, CELLS[0]!, 2);
    expect(claimText(runs)).toMatch(/^From 2 seeds\./);
  });

  test("are downloaded with all digits, a line per point", () => {
    const runs = new Runs();
    runs.add({ ...cell, seed: 3, steps: GRID.steps }, { step: 0, accuracy: 1 / 3, loss: 0.1 + 0.2 });
    expect(toCsv(runs)).toBe(
      "rule,learning rate,decay,seed,step,held-out accuracy,held-out loss\n" +
        "AdamW,0.07,0.5,3,0,0.3333333333333333,0.30000000000000004\n",
    );
  });
});

describe("colours", () => {
  const shares = Array.from({ length: 1001 }, (_, i) => i / 1000);
  const rgb = (text: string) => text.replaceAll(" ", ", ");

  test("the number stands out on each: a contrast of 4.5 at least, and nearly as good as black and white allow", () => {
    for (const share of shares) {
      const { background, text } = colours(share);
      const [black, white] = ["rgb(0, 0, 0)", "rgb(255, 255, 255)"].map((ink) => contrast(rgb(background), ink));
      const own = text === "black" ? black! : white!;
      expect(own, `${share}`).toBeGreaterThanOrEqual(4.5);
      expect(own).toBeGreaterThan(Math.max(black!, white!) - 0.05);
    }
  });

  test("a higher share is a lighter colour; what is below 0 and above 1 has the ends'", () => {
    const lightness = shares.map((share) => contrast(rgb(colours(share).background), "rgb(0, 0, 0)"));
    // To the rounding of a channel.
    for (const [i, value] of lightness.slice(20).entries()) expect(value).toBeGreaterThan(lightness[i]!);
    expect(colours(-1)).toEqual(colours(0));
    expect(colours(2)).toEqual(colours(1));
    expect(colours(0).background).toBe("rgb(68 1 84)");
    expect(colours(1).background).toBe("rgb(180 222 44)");
  });
});
