import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { charts } from "./charts.js";
import { FULL, QUICK } from "./effort.js";
import { publish } from "./publish.js";
import { Report, type Results } from "./report.js";
import { SECTIONS } from "./sections.js";
import { STEP } from "./step.js";

const BUILD = new URL("../build/", import.meta.url);

const flag = { type: "boolean", default: false } as const;
const { values, positionals } = parseArgs({ options: { quick: flag, publish: flag }, allowPositionals: true });
for (const name of positionals) {
  if (!Object.hasOwn(SECTIONS, name)) throw new RangeError(`"bench": expected ${Object.keys(SECTIONS)}, got ${name}`);
}

async function main(): Promise<void> {
  if (values.publish) {
    const results = JSON.parse(readFileSync(new URL("bench.json", BUILD), "utf8")) as Results;
    publish(results, new URL("../", import.meta.url));
    return;
  }
  const report = new Report();
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (positionals.length === 0 || positionals.includes(name)) await section(report, values.quick ? QUICK : FULL);
  }
  const results = report.save(new URL("bench.json", BUILD), positionals.length === 0 && !values.quick);
  const steps = results.timings.filter(({ section }) => section === STEP);
  if (steps.length > 0) for (const { file, svg } of charts(steps)) writeFileSync(new URL(file, BUILD), svg);
}

// Caught here, because TensorFlow.js prints all of its own source above an error that nobody catches.
await main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
