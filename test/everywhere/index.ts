/**
 * The test suite in real engines. `npm run test:everywhere` runs all, `npm run test:everywhere -- firefox bun` some of them,
 * `npm run test:everywhere -- host.test` some files; `-- --brief` leaves out what takes long and ran in a sibling of the engine. Needs
 * a build. Prints a table and, last, the sums; fails if a test did, if an engine is not there, or if a place ran nothing.
 *
 * It uses vitest's runner, assertions and spies, but not its browser mode: that drives browsers by way of Playwright, which takes
 * neither Debian's Firefox nor WebKitGTK, serves pages under one set of headers, and runs no test in a worker. As Firefox, WebKit,
 * policies, workers, Bun and workerd need all that is here, Chromium and Deno take a row in a table each.
 */
import { rmSync, writeFileSync } from "node:fs";
import { root } from "../support/root.js";
import { BROWSERS, missing, runInBrowser } from "./browsers.js";
import { bundle, testFiles } from "./bundle.js";
import type { Host } from "./engine/result.js";
import { binaryOf, RUNTIMES } from "./engines.js";
import { type Mode, PAGE_MODES } from "./modes.js";
import { Report } from "./report.js";
import { runInProcess } from "./runtimes.js";

/** So many engines at a time: more than the machines that CI runs on have cores, because many tests wait. */
const LANES = 4;
const FOLDER = `${root}build/everywhere`;

const BRIEF = "--brief";
const args = process.argv.slice(2).filter((arg) => arg !== BRIEF);
const brief = process.argv.includes(BRIEF);
const [parts, engines] = [true, false].map((isFile) => args.filter((arg) => arg.includes(".test") === isFile));
const isWanted = ({ name }: { name: string }) =>
  engines!.length === 0 || engines!.some((start) => name.startsWith(start));
const all = testFiles();
const files = all.filter((file) => parts!.length === 0 || parts!.some((part) => file.includes(part)));
const report = new Report(files);

/** Whether a file's path starts with one of these. @throws if one is the start of no file's */
function isAmong(starts: readonly string[]): (file: string) => boolean {
  const stray = starts.find((start) => !all.some((file) => file.startsWith(start)));
  if (stray !== undefined) throw new Error(`no test file starts with ${stray}`);
  return (file) => starts.some((start) => file.startsWith(start));
}

function visitsOf(engine: string, modes: readonly Mode[]) {
  return modes.flatMap((mode) => {
    const { name: _, headers: __, files: some, ...rest } = mode;
    const host: Host = { ...rest, engine, brief };
    return files.filter(some === undefined ? () => true : isAmong(some)).map((file) => ({ mode, host, file }));
  });
}

async function inRuntime(runtime: (typeof RUNTIMES)[number]): Promise<void> {
  const engine = runtime.name;
  const binary = binaryOf(runtime);
  if ("missing" in binary) return report.addAbsent(engine, binary.missing);
  const isLeftOut = isAmong((brief && runtime.brief?.without) || []);
  const { command = (path) => [path], run = runInProcess, patience = 600_000 } = runtime;
  for (const { mode, host, file } of visitsOf(engine, runtime.modes)) {
    const result = isLeftOut(file)
      ? { tests: [], skipped: runtime.brief?.why }
      : await run(command(binary.path), FOLDER, file, host, patience);
    report.add({ place: `${engine}, ${mode.name}`, file, result });
  }
}

async function inBrowser(browser: (typeof BROWSERS)[number]): Promise<void> {
  const engine = browser.name;
  const why = missing(browser);
  if (why !== undefined) return report.addAbsent(engine, why);
  await runInBrowser(browser, FOLDER, visitsOf(engine, PAGE_MODES), ({ mode, file }, result) => {
    report.add({ place: `${engine}, ${mode.name}`, file, result });
  });
}

process.on("exit", () => writeFileSync(`${FOLDER}/results.json`, JSON.stringify(report.outcomes)));
// What was started ends with this process, by way of its "exit".
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

rmSync(FOLDER, { recursive: true, force: true });
await bundle(files, FOLDER);
const jobs = [
  ...BROWSERS.filter(isWanted).map((browser) => () => inBrowser(browser)),
  ...RUNTIMES.filter(isWanted).map((runtime) => () => inRuntime(runtime)),
];
const lane = async () => {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
};
await Promise.all(Array.from({ length: LANES }, lane));

report.checkPlaces();
report.print();
const { passed, failed, skipped } = report.totals;
if (passed === 0) console.log("no test was executed");
console.log(`everywhere: ${passed} passed, ${failed} failed, ${skipped} skipped`);
if (failed > 0 || passed === 0) process.exitCode = 1;
