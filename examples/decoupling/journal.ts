import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Job, nameOf, type Outcome } from "./job.js";

const SUFFIX = ".safetensors";

/** Where the checkpoint of a run that is under way lies. */
export function checkpointOf(folder: string, job: Job): string {
  return join(folder, nameOf(job) + SUFFIX);
}

/**
 * What has been done, in a folder: a line for every run that ended, a checkpoint for every one under way. So a process that was
 * killed at any moment can be gone on with.
 */
export class Journal {
  readonly #folder: string;
  readonly #lines: string;
  readonly #outcomes = new Map<string, Outcome>();

  /** @param program says what made the lines. Those of another program are thrown away: its figures may be others. */
  constructor(folder: string, program: string) {
    this.#folder = folder;
    this.#lines = join(folder, `${program}.jsonl`);
    if (!existsSync(this.#lines)) this.remove();
    mkdirSync(folder, { recursive: true });
    // A line without an end was being written when the process was killed. Its run still has a checkpoint, or starts anew.
    const lines = existsSync(this.#lines) ? readFileSync(this.#lines, "utf8").split("\n").slice(0, -1) : [];
    for (const line of lines) {
      const { job, outcome } = JSON.parse(line) as { job: Job; outcome: Outcome };
      this.#outcomes.set(nameOf(job), outcome);
    }
    const whole = `${this.#lines}.new`;
    writeFileSync(whole, lines.map((line) => `${line}\n`).join(""));
    renameSync(whole, this.#lines);
  }

  /** Runs that ended. */
  get done(): number {
    return this.#outcomes.size;
  }

  /** Runs that have a checkpoint. */
  get underWay(): number {
    return readdirSync(this.#folder).filter((file) => file.endsWith(SUFFIX)).length;
  }

  outcome(job: Job): Outcome | undefined {
    return this.#outcomes.get(nameOf(job));
  }

  add(job: Job, outcome: Outcome): void {
    appendFileSync(this.#lines, `${JSON.stringify({ job, outcome })}\n`);
    this.#outcomes.set(nameOf(job), outcome);
    rmSync(checkpointOf(this.#folder, job), { force: true });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
