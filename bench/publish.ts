import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { table } from "../examples/shared/table.js";
import { fill } from "../scripts/regions.js";
import { charts } from "./charts.js";
import { CLIPPED } from "./clipped.js";
import { sizeName } from "./effort.js";
import { LOOP } from "./entrants/loop.js";
import { NATIVE } from "./entrants/native.js";
import { FUSED, FUSED_2 } from "./entrants/package.js";
import { HALF } from "./half.js";
import { formatSpread, short } from "./measure.js";
import type { Results, Row, Timing } from "./report.js";
import { STEP } from "./step.js";
import { PATTERNS } from "./threads.js";

/** The pages that figures are written into. Other pages link to these. */
export const PAGES = ["README.md", "docs/benchmarks.md", "docs/precision.md", "bench/NOTES.md"];

/** Sections that have a region of their own, by their titles; `others` has the rest. */
const OWN = {
  clipped: [CLIPPED],
  threads: Object.keys(PATTERNS),
  half: [HALF],
  subnormals: ["flush of subnormals", "2,000 steps"],
  tfjs: ["tfjs"],
  jax: ["AdamW in jax-js"],
};

/** The README's columns, and what it calls them. */
const README_COLUMNS = {
  [FUSED]: "fused-adam",
  [FUSED_2]: "2 threads",
  [LOOP]: "JavaScript loop",
  "jax-js wasm": "jax-js wasm",
  "TensorFlow.js wasm": "TensorFlow.js wasm",
  [NATIVE]: NATIVE,
};
const README_SIZES = [4 << 10, 64 << 10, 1 << 20, 16 << 20];

/** What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`, for every NAME there is. */
export function regions(results: Results): Readonly<Record<string, string>> {
  const { host, notes, timings, goals } = results;
  const steps = timings.filter(({ section }) => section === STEP);
  const taken = [STEP, ...Object.values(OWN).flat()];
  const starts = (titles: readonly string[]) => (section: string) => titles.some((title) => section.startsWith(title));
  const own = Object.entries(OWN).map(([name, titles]) => [name, sections(results, starts(titles))]);
  return {
    speed: speed(steps),
    readme: readmeTable(steps, host),
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
    ns: bySize(steps, nanoseconds),
    gigabytes: bySize(
      steps.filter(({ gigabytes }) => gigabytes !== null),
      ({ gigabytes }) => short(gigabytes!),
    ),
    ratios: ratiosBySize(steps),
    ...Object.fromEntries(own),
    others: sections(results, (section) => !starts(taken)(section)),
  };
}

const nanoseconds = ({ ns }: Timing) => short(ns.median);

/** The README's first line of figures: how many times as fast as others, at 1 Mi parameters. */
function speed(steps: readonly Timing[]): string {
  const length = Math.max(...steps.map((step) => step.length).filter((size) => size <= 1 << 20));
  const at = (name: string) => {
    const { ratio } = steps.find((step) => step.contender === name && step.length === length)!;
    return `${short(ratio!.median)} times as fast as`;
  };
  const others = `${at("jax-js wasm")} jax-js and ${at("TensorFlow.js wasm")} TensorFlow.js (both on WebAssembly SIMD)`;
  return `- **Fast.** A step over ${sizeName(length)} parameters on one thread is ${at(LOOP)} a JavaScript loop, ${others}.`;
}

function readmeTable(steps: readonly Timing[], { cpu, engine, date }: Results["host"]): string {
  const names = Object.keys(README_COLUMNS) as (keyof typeof README_COLUMNS)[];
  const sizes = README_SIZES.filter((size) => steps.some(({ length }) => length === size));
  const cell = (name: string, size: number) => {
    const timing = steps.find(({ contender, length }) => contender === name && length === size);
    return timing === undefined ? "" : nanoseconds(timing);
  };
  const rows = sizes.map((size) => [sizeName(size), ...names.map((name) => cell(name, size))]);
  return `${table(["parameters", ...names.map((name) => README_COLUMNS[name])], rows)}\n\n${cpu}; ${engine}; ${date}.`;
}

/** The sections with these titles: their timings, then their other figures. */
function sections({ timings, rows }: Results, isWanted: (section: string) => boolean): string {
  const titles = [...new Set(timings.map(({ section }) => section))].filter(isWanted);
  return [
    ...titles.map((title) => {
      const own = timings.filter(({ section }) => section === title);
      return `**${title}**, nanoseconds per parameter, and divided by *${baselineOf(own)}*:\n\n${bySize(own, nanoseconds)}\n\n${ratiosBySize(own)}`;
    }),
    ...alike(rows.filter(({ section }) => isWanted(section))).map(rowTable),
  ].join("\n\n");
}

function baselineOf(timings: readonly Timing[]): string {
  return timings.find(({ ratio }) => ratio !== null)?.ratio?.to ?? "nothing";
}

function ratiosBySize(timings: readonly Timing[]): string {
  return bySize(
    timings.filter(({ ratio }) => ratio !== null),
    ({ ratio }) => formatSpread(ratio!),
  );
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

/** Groups rows that have the same figures: a table each. */
function alike(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = Object.keys(row.figures).join();
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}

function rowTable(rows: readonly Row[]): string {
  const figures = Object.keys(rows[0]!.figures);
  const text = (value: number | string) => {
    if (typeof value === "string") return value;
    return Number.isInteger(value) ? value.toLocaleString("en") : short(value);
  };
  return table(
    ["", "parameters", ...figures],
    rows.map((row) => [row.section, sizeName(row.length), ...figures.map((name) => text(row.figures[name]!))]),
  );
}

/** Tables into the pages, charts into docs/bench, below `root`. */
export function publish(results: Results, root: URL): void {
  if (!results.complete) throw new Error('"build/bench.json": expected a full run of everything, got a part of one');
  const pages = PAGES.map((page) => new URL(page, root));
  const filled = fill(
    "bench",
    pages.map((page) => readFileSync(page, "utf8")),
    regions(results),
  );
  const folder = new URL("docs/bench/", root);
  mkdirSync(folder, { recursive: true });
  for (const { file, svg } of charts(results.timings.filter(({ section }) => section === STEP))) {
    writeFileSync(new URL(file, folder), svg);
  }
  filled.forEach((text, i) => {
    writeFileSync(pages[i]!, text);
  });
}
