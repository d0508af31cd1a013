import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Tinypool } from "tinypool";
import { createProgress } from "../shared/progress.js";
import { compile } from "./compile.js";
import { type Job, nameOf, type Outcome } from "./job.js";
import { Journal } from "./journal.js";
import type { WorkerData } from "./work.js";

/** Runs jobs, as many at a time as the machine has cores, and goes on with what a process that was killed has left. */
export class Runner {
  readonly #journal: Journal;
  readonly #pool: Tinypool;
  readonly #outcomes = new Map<string, Outcome>();

  /** @param out a folder for what it writes. What was left there is gone on with. */
  constructor(out: string) {
    mkdirSync(out, { recursive: true });
    const bytes = compile(join(out, "network.wasm"));
    const folder = join(out, "unfinished");
    this.#journal = new Journal(folder, digestOf(bytes));
    const workerData: WorkerData = { module: new WebAssembly.Module(bytes), folder };
    const threads = availableParallelism();
    this.#pool = new Tinypool({
      filename: new URL("worker.mjs", import.meta.url),
      workerData,
      minThreads: threads,
      maxThreads: threads,
    });
  }

  /** What is there already. */
  get left(): { readonly done: number; readonly underWay: number } {
    return this.#journal;
  }

  /** @throws (rejects with) what a worker throws; the others' runs are left as they are */
  async run(label: string, jobs: readonly Job[]): Promise<void> {
    const progress = createProgress(`  ${label}`);
    const started = performance.now();
    let [done, trained] = [0, 0];
    const finish = (job: Job, outcome: Outcome) => {
      this.#outcomes.set(nameOf(job), outcome);
      done++;
      progress(done, jobs.length, () => {
        const seconds = (performance.now() - started) / 1000;
        const left = trained === 0 ? "" : `, ${((seconds / trained) * (jobs.length - done)).toFixed(0)} s left`;
        return `${done} of ${jobs.length} runs, ${seconds.toFixed(0)} s${left}`;
      });
    };
    await Promise.all(
      jobs.map(async (job) => {
        const known = this.#journal.outcome(job);
        if (known !== undefined) return finish(job, known);
        const outcome = (await this.#pool.run(job)) as Outcome;
        this.#journal.add(job, outcome);
        trained++;
        finish(job, outcome);
      }),
    );
  }

  /** Of a job that was run. */
  readonly outcome = (job: Job): Outcome => {
    const outcome = this.#outcomes.get(nameOf(job));
    if (outcome === undefined) throw new Error(`"job": expected one that was run, got ${nameOf(job)}`);
    return outcome;
  };

  /** Everything that was run, in an order that does not depend on which worker was faster. */
  records(): Record<string, Outcome> {
    return Object.fromEntries([...this.#outcomes].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Ends the workers. @param keep whether the journal stays, to be gone on with */
  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    await this.#pool.destroy();
    if (!keep) this.#journal.remove();
  }
}

/** Of what figures follow from: the sources here and beside, both modules. A journal that other sources wrote is of no use. */
function digestOf(module: Uint8Array): string {
  const hash = createHash("sha256").update(module);
  hash.update(readFileSync(createRequire(import.meta.url).resolve("fused-adam/wasm/simd.wasm")));
  for (const folder of [new URL(".", import.meta.url), new URL("../shared/", import.meta.url)]) {
    for (const file of readdirSync(folder)
      .filter((name) => name.endsWith(".ts"))
      .sort()) {
      hash.update(readFileSync(new URL(file, folder)));
    }
  }
  return hash.digest("hex").slice(0, 16);
}
