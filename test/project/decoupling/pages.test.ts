/** The figures of examples/decoupling that stand on pages: they are what training gives, and the same wherever they stand. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { addition } from "../../../examples/decoupling/addition.js";
import { Network } from "../../../examples/decoupling/network.js";
import { publish } from "../../../examples/decoupling/publish.js";
import type { RuleName } from "../../../examples/decoupling/rules.js";
import { STUDIES } from "../../../examples/decoupling/study.js";
import { Training } from "../../../examples/decoupling/training.js";
import { root } from "../../support/root.js";
import { compiledNetwork } from "./support.js";

const [readme, page, svg] = ["README.md", "docs/family.md", "docs/decoupling/grid.svg"].map((path) =>
  readFileSync(join(root, path), "utf8"),
) as [string, string, string];

/** What stands in a region of a page. */
function region(text: string, name: string): string {
  return new RegExp(`<!-- decoupling:${name} -->\\n(.*?)\\n<!-- /decoupling:${name} -->`, "s").exec(text)![1]!;
}

/** The cells of a table, without the rule below its header. */
const cellsOf = (table: string) =>
  table
    .split("\n")
    .filter((_, i) => i !== 1)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.replaceAll("*", "").trim()),
    );

const GRIDS = { AdamW: cellsOf(region(page, "adamw")), "Adam + L2": cellsOf(region(page, "l2")) };

describe("the grid on docs/family.md", () => {
  let network: Network;
  const task = addition();
  beforeAll(() => {
    network = new Network(compiledNetwork(), task.data, task.hidden, task.split(1).train.length);
  });

  it.each<[RuleName, number, number]>([
    ["AdamW", 0.07, 1],
    ["Adam + L2", 0.025, 0.00002],
  ])(
    "%s at rate %d with λ = %d: 5,000 steps with each seed give the figure that stands there",
    (rule, lr, weightDecay) => {
      const { seeds, steps } = STUDIES[0]!;
      const accuracies = seeds.map((seed) => {
        const training = new Training(task, network, { rule, lr, weightDecay, seed, steps });
        training.runTo(steps);
        return training.evaluate("validation").accuracy;
      });
      const [header, ...rows] = GRIDS[rule];
      const row = rows.find(([rate]) => Number(rate) === lr)!;
      const mean = accuracies.reduce((sum, accuracy) => sum + accuracy, 0) / seeds.length;
      expect(row[header!.map(Number).indexOf(weightDecay)]).toBe((100 * mean).toFixed(1));
    },
  );

  it("is the grid of the picture, to whole percents", () => {
    const words = /<desc>(.*?)<\/desc>/.exec(svg)![1]!;
    for (const [rule, [header, ...rows]] of Object.entries(GRIDS)) {
      const ofRule = words.slice(words.indexOf(`${rule}, held-out accuracy`)).split(". ")[1]!;
      const drawn = [...ofRule.matchAll(/rate ([\d.]+): ([^;]*)/g)].map(([, rate, cells]) => [
        Number(rate),
        ...[...cells!.matchAll(/(\d+) at/g)].map(([, value]) => Number(value)),
      ]);
      expect(drawn).toHaveLength(rows.length);
      for (const [rate, ...values] of drawn) {
        const row = rows
          .find(([first]) => Number(first) === rate)!
          .slice(1)
          .map(Number);
        expect(values).toHaveLength(header!.length - 1);
        // Rounded twice there.
        values.forEach((value, i) => void expect(Math.abs(value - row[i]!)).toBeLessThan(0.56));
      }
    }
  });

  it("has the best decays, and the README's figures for one decay for all rates", () => {
    const slopes = cellsOf(region(page, "slopes"));
    const [, ours, theirs] = slopes.at(-1)!;
    expect(region(readme, "readme")).toContain(`held-out accuracy is ${ours} % and ${theirs} %`);
    for (const [column, rule] of (["AdamW", "Adam + L2"] as const).entries()) {
      const [header, ...rows] = GRIDS[rule];
      const means = header!
        .slice(1)
        .map((_, i) => rows.reduce((sum, row) => sum + Number(row[i + 1]), 0) / rows.length);
      expect(Math.abs(Math.max(...means) - Number(slopes.at(-1)![column + 1]))).toBeLessThan(0.06);
      expect(header![1 + means.indexOf(Math.max(...means))]).toBe(slopes.at(-2)![column + 1]);
    }
  });
});

describe("publishing", () => {
  it("refuses a run of a part, and one that lacks a run, before it writes anything", () => {
    const nowhere = new URL("file:///nowhere/");
    expect(() => publish({ complete: false, records: {} }, nowhere)).toThrow('"out/results.json": expected a full run');
    expect(() => publish({ complete: true, records: {} }, nowhere)).toThrow(/"out\/results.json": expected addition-/);
  });
});
