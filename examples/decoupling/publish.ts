import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fill } from "../../scripts/regions.js";
import type { Outcomes } from "./analysis.js";
import { heatMaps } from "./heatMap.js";
import { type Job, nameOf, type Outcome } from "./job.js";
import { comparisonTable, gridTable, slopeTable } from "./report.js";
import { STUDIES } from "./study.js";

/** What a run leaves in out/results.json. */
export interface Results {
  /** Whether every study was run in full. */
  readonly complete: boolean;
  /** By the name of the job. */
  readonly records: Readonly<Record<string, Outcome>>;
}

const ADDITION = STUDIES.find(({ task }) => task === "addition")!;

/** What stands between `<!-- decoupling:NAME -->` and `<!-- /decoupling:NAME -->`, for every NAME there is. */
export function regions(outcomes: Outcomes): Readonly<Record<string, string>> {
  return {
    adamw: gridTable(ADDITION, outcomes, "AdamW"),
    l2: gridTable(ADDITION, outcomes, "Adam + L2"),
    slopes: slopeTable(ADDITION, outcomes),
    loss: comparisonTable(STUDIES, outcomes, "loss"),
    accuracy: comparisonTable(STUDIES, outcomes, "accuracy"),
  };
}

/** Tables into `document`, the maps to `picture`. */
export function publish({ complete, records }: Results, document: URL, picture: URL): void {
  if (!complete) throw new Error('"out/results.json": expected a full run of everything, got a part of one');
  const outcomes = (job: Job): Outcome => {
    const outcome = records[nameOf(job)];
    if (outcome === undefined) throw new Error(`"out/results.json": expected ${nameOf(job)}, got no such run`);
    return outcome;
  };
  const filled = fill(readFileSync(document, "utf8"), "decoupling", regions(outcomes));
  mkdirSync(new URL(".", picture), { recursive: true });
  writeFileSync(picture, heatMaps(ADDITION, outcomes));
  writeFileSync(document, filled);
}
