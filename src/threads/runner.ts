import { Program } from "../kernels/program.js";
import type { Kernels } from "../kernels/table.js";
import { SMALL, warnAlone } from "./choose.js";
import { Pool } from "./pool.js";
import { mayBlock } from "./protocol.js";

/** Runs programs: on the caller, or with a pool where that pays. */
export class Runner {
  /** What is to be run; another one after `reserve` and `restart`. */
  program!: Program;
  /** How many threads it has, the caller included. */
  threads: number;
  #room = 0;
  #sums = 0;
  #pool: Pool | undefined;
  readonly #mayBlock: boolean;

  /** @param module for the workers' kernels; none: TypeScript's */
  constructor(
    readonly kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    readonly module: Uint8Array<ArrayBuffer> | undefined,
    threads: number,
  ) {
    this.threads = threads;
    this.#mayBlock = threads > 1 && mayBlock();
  }

  /** Makes room for programs of so many calls and partial sums. */
  reserve(calls: number, sums: number): void {
    if (calls <= this.#room && sums <= this.#sums) return;
    // Twice what there was, because workers come and go with the program's memory.
    this.#room = Math.max(calls, 2 * this.#room);
    this.#sums = Math.max(sums, 2 * this.#sums);
    this.restart();
  }

  /** Takes on workers, in place of those there may have been, and gives them a new program: nothing of the old is theirs. */
  restart(): void {
    this.close();
    try {
      if (this.threads > 1) this.#pool = new Pool(this.threads, this.memory, this.module, this.#room, this.#sums);
    } catch (cause) {
      warnAlone(this.threads, String(cause));
      this.threads = 1;
    }
    this.program =
      this.#pool?.program ?? new Program(new ArrayBuffer(Program.bytes(0, this.#room, this.#sums)), 0, this.#room);
  }

  /** @throws Error `ERR_WORKER` if a worker is known to be lost */
  check(): void {
    this.#pool?.check();
  }

  /** @throws as `check` */
  run(): void {
    const pool = this.#poolForThis();
    if (pool === undefined || !this.#mayBlock) this.program.run(this.kernels);
    else pool.run(this.kernels);
  }

  /** As `run`, without blocking: what is not small runs on the workers. */
  async runAsync(): Promise<void> {
    const pool = this.#poolForThis();
    if (pool === undefined) this.program.run(this.kernels);
    else await pool.runAsync();
  }

  close(): void {
    this.#pool?.close();
    this.#pool = undefined;
  }

  #poolForThis(): Pool | undefined {
    return this.program.elements < SMALL ? undefined : this.#pool;
  }
}
