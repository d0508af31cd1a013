import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fill } from "../../scripts/regions.js";
import type { Outcomes } from "./analysis.js";
import { heatMaps } from "./heatMap.js";
import { type Job, nameOf, type Outcome } from "./job.js";
import { claim, comparisonTable, gridTable, slopeTable, units } from "./report.js";
import { STUDIES } from "./study.js";

/** What a run leaves in out/results.json. */
export interface Results {
  /** Whether every study was run in full. */
  readonly complete: boolean;
  /** By the name of the job. */
  readonly records: Readonly<Record<string, Outcome>>;
}

/** The pages that figures are written into. */
const PAGES = ["README.md", "docs/family.md"];
const PICTURE = "docs/decoupling/grid.svg";

const ADDITION = STUDIES.find(({ task }) => task === "addition")!;

/** What stands between `<!-- decoupling:NAME -->` and `<!-- /decoupling:NAME -->`, for every NAME there is. */
export function regions(outcomes: Outcomes): Readonly<Record<string, string>> {
  return {
    readme: claim(ADDITION, outcomes),
    adamw: gridTable(ADDITION, outcomes, "AdamW"),
    l2: gridTable(ADDITION, outcomes, "Adam + L2"),
    slopes: slopeTable(ADDITION, outcomes),
    units: units(ADDITION, outcomes),
    loss: comparisonTable(STUDIES, outcomes, "loss"),
    accuracy: comparisonTable(STUDIES, outcomes, "accuracy"),
  };
}

/** Figures into the pages, the maps into docs/decoupling, below `root`. */
export function publish({ complete, records }: Results, root: URL): void {
  if (!complete) throw new Error('"out/results.json": expected a full run of everything, got a part of one');
  const outcomes = (job: Job): Outcome => {
    const outcome = records[nameOf(job)];
    if (outcome === undefined) throw new Error(`"out/results.json": expected ${nameOf(job)}, got no such run`);
    return outcome;
  };
  const [contents, maps] = [regions(outcomes), heatMaps(ADDITION, outcomes)];
  const pages = PAGES.map((page) => new URL(page, root));
  const filled = fill(
    "decoupling",
    pages.map((page) => readFileSync(page, "utf8")),
    contents,
  );
  const picture = new URL(PICTURE, root);
  mkdirSync(new URL(".", picture), { recursive: true });
  writeFileSync(picture, maps);
  filled.forEach((text, i) => {
    writeFileSync(pages[i]!, text);
  });
}
