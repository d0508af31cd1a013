import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CRITERIA, choose } from "./analysis.js";
import { contradictions } from "./checks.js";
import { heatMaps } from "./heatMap.js";
import { publish, type Results } from "./publish.js";
import { comparisonTable, gridTable, slopeTable } from "./report.js";
import { RULE_NAMES } from "./rules.js";
import { Runner } from "./runner.js";
import { cellsOf, freshJobs, reduced, STUDIES, type Study, searchJobs } from "./study.js";

const { values: options, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    publish: { type: "boolean", default: false },
    out: { type: "string", default: fileURLToPath(new URL("out", import.meta.url)) },
  },
});
const out = resolve(options.out);

const known: readonly string[] = STUDIES.map(({ task }) => task);
const unknown = asked.filter((task) => !known.includes(task));
if (unknown.length > 0)
  throw new Error(`"${unknown[0]}": expected some of ${known.map((task) => `"${task}"`).join(", ")}`);

if (options.publish) {
  const results = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as Results;
  publish(results, new URL("../../", import.meta.url));
} else {
  const all = STUDIES.filter(({ task }) => asked.length === 0 || asked.includes(task));
  await main(options.quick ? all.map(reduced) : all);
}

async function main(studies: readonly Study[]): Promise<void> {
  const started = performance.now();
  const runner = new Runner(out);
  const { done, underWay } = runner.left;
  if (done + underWay > 0)
    console.log(`Going on with a run that was broken off: ${done} runs done, ${underWay} under way`);
  let ended = false;
  try {
    for (const study of studies) await measure(study, runner);
    ended = true;
  } finally {
    await runner.close({ keep: !ended });
  }
  const complete = studies.length === STUDIES.length && !options.quick;
  writeFileSync(
    join(out, "results.json"),
    `${JSON.stringify({ complete, records: runner.records() } satisfies Results, null, 1)}\n`,
  );

  console.log(`
Held-out loss, each rule with the rate and the λ that had the lowest on validation data; fresh seeds, mean ± standard deviation.
The difference is AdamW's less the other's, seed by seed, ± its standard error.

${comparisonTable(studies, runner.outcome, "loss")}

Held-out accuracy, each rule with the rate and the λ that had the highest:

${comparisonTable(studies, runner.outcome, "accuracy")}

Total: ${((performance.now() - started) / 1000).toFixed(0)} s`);

  if (options.quick) return;
  const problems = contradictions(studies, runner.outcome);
  if (problems.length > 0) {
    console.error(`\nThe figures do not show what this demo claims:\n  ${problems.join("\n  ")}`);
    process.exitCode = 1;
  }
}

async function measure(study: Study, runner: Runner): Promise<void> {
  const cells = RULE_NAMES.flatMap((rule) => cellsOf(study, rule));
  console.log(`\n${study.task}: ${study.rates.length} rates, ${study.steps.toLocaleString("en")} steps a run`);
  await runner.run(
    "grid       ",
    cells.flatMap((cell) => searchJobs(study, cell)),
  );
  const chosen = RULE_NAMES.flatMap((rule) => CRITERIA.map((by) => choose(study, runner.outcome, rule, by)));
  const jobs = chosen.flatMap((cell) => freshJobs(study, cell));
  await runner.run("fresh seeds", [...new Map(jobs.map((job) => [JSON.stringify(job), job])).values()]);
  if (study.task !== "addition") return;

  for (const rule of RULE_NAMES) {
    console.log(`\n${rule}: held-out accuracy in %\n\n${gridTable(study, runner.outcome, rule)}`);
  }
  console.log(`\n${slopeTable(study, runner.outcome)}`);
  const picture = join(out, "grid.svg");
  writeFileSync(picture, heatMaps(study, runner.outcome));
  console.log(`\nHeat maps: ${picture}`);
}
