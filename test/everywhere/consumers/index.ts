/**
 * The packed package as users meet it: installed into fresh projects, built with each bundler, run. `npm run test:consumers` runs
 * all, `npm run test:consumers -- vite` some. Needs a build.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { launch, noChromium } from "../../support/chromium.js";
import { expectedDigest } from "./expected.js";
import { install, pack } from "./install.js";
import { CONSUMERS, type Consumer } from "./table.js";

/** So many projects at a time: that is how many cores there are to count on. */
const LANES = 2;

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
  const trained = { kernel: "simd", threads: 2, relaxed: "loaded", digest };
  const browser = noChromium === undefined ? await launch() : undefined;

  const run = async ({ name, project, runs, run, expected = trained }: Consumer) => {
    const results = await run(`${folder}/${project}`, browser);
    for (const part of runs) {
      const [is, must] = [results[part], expected].map((value) => JSON.stringify(value));
      if (is === must) note("passed", `${name}, ${part}`);
      else note("failed", `${name}, ${part}`, `expected ${must}, got ${is}`);
    }
  };
  // One after the other where they share a project.
  const queue = [...new Set(consumers.map(({ project }) => project))];
  const lane = async () => {
    for (let project = queue.shift(); project !== undefined; project = queue.shift()) {
      const some = consumers.filter((consumer) => consumer.project === project);
      const start = Date.now();
      const installed = install(project, `${folder}/${project}`, tarball, some[0]!.names);
      for (const consumer of some) {
        await installed.then(() => run(consumer)).catch((error) => note("failed", consumer.name, error));
      }
      console.log(`        ${project}: ${Math.round((Date.now() - start) / 1000)} s`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await browser?.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log(`in ${Math.round((Date.now() - started) / 1000)} s`);
const { passed, failed } = totals;
if (passed === 0) console.log("no consumer was run");
console.log(`consumers: ${passed} passed, ${failed} failed, 0 skipped`);
if (failed > 0 || passed === 0) process.exitCode = 1;
