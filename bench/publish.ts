import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { charts } from "./charts.js";
import { CLIPPED } from "./clipped.js";
import { sizeName } from "./effort.js";
import { FUSED } from "./entrants/package.js";
import { formatSpread, short } from "./measure.js";
import { type Results, type Timing, timingTable } from "./report.js";
import { STEP } from "./step.js";
import { table } from "./terminal.js";

/** What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`, for every NAME there is. */
export function regions(results: Results): Readonly<Record<string, string>> {
  const { host, notes, timings, rows, goals } = results;
  const steps = timings.filter(({ section }) => section === STEP);
  const sections = [...new Set(timings.map(({ section }) => section))].filter(
    (name) => name !== STEP && name !== CLIPPED,
  );
  return {
    host: [
      ...Object.entries(host).map(([what, value]) => `- ${what}: ${value}`),
      ...notes.map((note) => `- ${note}`),
    ].join("\n"),
    goals: table(
      ["goal", "", "seen: median (quartiles)"],
      goals.map(({ goal, reached, saw }) => [goal, reached ? "reached" : "missed", saw]),
    ),
    charts: charts(steps)
      .map(({ file, title }) => `![${title}](bench/${file})`)
      .join("\n\n"),
    ns: bySize(steps, ({ ns }) => short(ns.median)),
    gigabytes: bySize(
      steps.filter(({ gigabytes }) => gigabytes !== null),
      ({ gigabytes }) => short(gigabytes!),
    ),
    ratios: bySize(
      steps.filter(({ contender }) => contender !== FUSED),
      ({ ratio }) => formatSpread(ratio!),
    ),
    clipped: bySizeTables(timings.filter(({ section }) => section === CLIPPED)),
    others: [
      ...sections.map((name) => `**${name}**\n\n${bySizeTables(timings.filter(({ section }) => section === name))}`),
      ...rows.map(
        ({ section, length, figures }) =>
          `**${section}** (${sizeName(length)} parameters)\n\n${table(
            ["", "seen"],
            Object.entries(figures).map(([name, value]) => [name, typeof value === "string" ? value : short(value)]),
          )}`,
      ),
    ].join("\n\n"),
  };
}

/** A row for each contender, a column for each size. */
function bySize(timings: readonly Timing[], cell: (timing: Timing) => string): string {
  const sizes = [...new Set(timings.map(({ length }) => length))].sort((a, b) => a - b);
  const names = [...new Set(timings.map(({ contender }) => contender))];
  const at = (name: string, size: number) =>
    timings.find(({ contender, length }) => contender === name && length === size);
  return table(
    ["", ...sizes.map(sizeName)],
    names.map((name) => [name, ...sizes.map((size) => (at(name, size) === undefined ? "" : cell(at(name, size)!)))]),
  );
}

/** A table for each size. */
function bySizeTables(timings: readonly Timing[]): string {
  const sizes = [...new Set(timings.map(({ length }) => length))];
  return sizes
    .map((size) => `${sizeName(size)} parameters:\n\n${timingTable(timings.filter(({ length }) => length === size))}`)
    .join("\n\n");
}

/**
 * The document with every marked region filled anew.
 *
 * @throws Error for a region that the document lacks, or one that nothing is known of
 */
export function fill(document: string, contents: Readonly<Record<string, string>>): string {
  const seen = new Set<string>();
  const filled = document.replace(/(<!-- bench:(\w+) -->\n).*?(<!-- \/bench:\2 -->)/gs, (_, open, name, close) => {
    if (!Object.hasOwn(contents, name)) throw new Error(`"bench:${name}": expected ${Object.keys(contents)}`);
    seen.add(name);
    return `${open}${contents[name]}\n${close}`;
  });
  for (const name of Object.keys(contents)) {
    if (!seen.has(name)) throw new Error(`"bench:${name}": expected a region in the document, got none`);
  }
  return filled;
}

/** Tables into `document`, charts into `folder`. */
export function publish(results: Results, document: URL, folder: URL): void {
  if (!results.complete) throw new Error('"build/bench.json": expected a full run of everything, got a part of one');
  const filled = fill(readFileSync(document, "utf8"), regions(results));
  mkdirSync(folder, { recursive: true });
  for (const { file, svg } of charts(results.timings.filter(({ section }) => section === STEP))) {
    writeFileSync(new URL(file, folder), svg);
  }
  writeFileSync(document, filled);
}
