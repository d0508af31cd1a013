import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fill } from "../../scripts/regions.js";
import type { Run } from "./analysis.js";
import { charts } from "./charts.js";
import { differenceTable, lossTable, momentTable } from "./report.js";
import type { Moment } from "./standstill.js";

/** What a run leaves in out/results.json. */
export interface Results {
  /** Whether every step was taken with every seed. */
  readonly complete: boolean;
  readonly runs: readonly Run[];
  readonly moments: readonly Moment[];
}

const PAGE = "docs/precision.md";

/** Tables into the page, between `<!-- precision:NAME -->` and `<!-- /precision:NAME -->`, and pictures into docs/precision, below `root`. */
export function publish({ complete, runs, moments }: Results, root: URL): void {
  if (!complete) throw new Error('"out/results.json": expected a full run, got a part of one');
  const page = new URL(PAGE, root);
  const contents = { losses: lossTable(runs), differences: differenceTable(runs), moments: momentTable(moments) };
  const [text] = fill("precision", [readFileSync(page, "utf8")], contents);
  const folder = new URL("docs/precision/", root);
  mkdirSync(folder, { recursive: true });
  for (const { file, svg } of charts(runs, moments)) writeFileSync(new URL(file, folder), svg);
  writeFileSync(page, text!);
}
