/** Runs one bundled test file in Node, Bun or Deno, on the main thread or in a worker: argv is a `Job` as JSON. */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import type { FileResult, Host } from "./result.js";

export interface Job {
  readonly bundle: string;
  readonly output: string;
  readonly host: Host;
}

const job: Job = isMainThread ? JSON.parse(process.argv[2]!) : workerData;
if (isMainThread && job.host.thread === "worker") {
  new Worker(new URL(import.meta.url), { workerData: job });
} else {
  // For what was CommonJS before it was bundled.
  Object.assign(globalThis, { require: createRequire(job.bundle), __dirname: dirname(job.bundle) });
  const { run } = (await import(job.bundle)) as { run(host: Host): Promise<FileResult> };
  writeFileSync(job.output, JSON.stringify(await run(job.host)));
}
