import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Tinypool } from "tinypool";
import { createProgress } from "../shared/progress.js";
import type { Run } from "./analysis.js";
import { charts } from "./charts.js";
import { contradictions } from "./checks.js";
import { publish, type Results } from "./publish.js";
import { differenceTable, lossTable, momentTable } from "./report.js";
import { standstill } from "./standstill.js";
import { FULL, jobsOf, QUICK, type Study } from "./study.js";
import type { Outcome } from "./training.js";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    publish: { type: "boolean", default: false },
    out: { type: "string", default: fileURLToPath(new URL("out", import.meta.url)) },
  },
});
const out = resolve(options.out);
const file = join(out, "results.json");

if (options.publish) publish(JSON.parse(readFileSync(file, "utf8")) as Results, new URL("../../", import.meta.url));
else await main();

async function main(): Promise<void> {
  const started = performance.now();
  console.log("v under gradients of constant variance\n");
  const moments = await standstill();
  console.log(momentTable(moments));

  const study = options.quick ? QUICK : FULL;
  console.log(`\nTwo tasks, ${study.seeds.length} seeds\n`);
  const runs = await trainAll(study);
  console.log(`
Cross entropy in nats after the last step: mean ± standard deviation over the seeds.

${lossTable(runs)}

The same less float32's, seed by seed: mean ± standard deviation.

${differenceTable(runs)}
`);

  mkdirSync(out, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ complete: !options.quick, runs, moments } satisfies Results)}\n`);
  for (const { file, svg } of charts(runs, moments)) writeFileSync(join(out, file), svg);
  console.log(`Pictures and all figures: ${out}\nTotal: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (options.quick) return;
  const problems = contradictions(runs, moments);
  if (problems.length > 0) {
    console.error(`\nThe figures do not show what this demo claims:\n  ${problems.join("\n  ")}`);
    process.exitCode = 1;
  }
}

/** As many at a time as the machine has cores, in an order that does not depend on which was faster. */
async function trainAll(study: Study): Promise<Run[]> {
  const threads = availableParallelism();
  const filename = new URL("worker.mjs", import.meta.url).href;
  const pool = new Tinypool({ filename, minThreads: threads, maxThreads: threads });
  const jobs = jobsOf(study);
  const progress = createProgress("  training");
  let done = 0;
  try {
    return await Promise.all(
      jobs.map(async (job) => {
        const outcome = (await pool.run(job)) as Outcome;
        progress(++done, jobs.length, () => `${done} of ${jobs.length} runs`);
        return { job, outcome };
      }),
    );
  } finally {
    await pool.destroy();
  }
}
