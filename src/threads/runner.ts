import { Program } from "../kernels/program.js";
import type { Kernels } from "../kernels/table.js";
import { SMALL, warnAlone } from "./choose.js";
import { mayBlock } from "./host.js";
import type { Pool } from "./pool.js";
import { loadedPools, loadPools } from "./pools.js";

/**
 * Runs programs: on the caller, or with a pool of workers where that pays.
 *
 * A worker writes to the model only while a program runs that changes it. If one is found dead at any other time, nothing is lost:
 * the pool is replaced before the next program is written.
 */
export class Runner {
  /** How many threads it has, the caller included: 1 once workers could not be started. */
  threads: number;
  #program!: Program;
  #pool: Pool | undefined;
  /** Settles when the code of pools is here, or cannot be had. */
  #loading: Promise<void> | undefined;
  /** How many calls, and how many partial sums, a program has room for. */
  #calls = 0;
  #sums = 0;
  /** Whether the model has programs that are worth a pool. */
  #isLarge = false;
  /** Pools in a row of which a worker could not start. */
  #unstarted = 0;
  /** Whether a pool may be replaced because a worker died. Once per step: where workers are always killed, a step has to end, too. */
  #mayReplace = true;
  readonly #mayBlock: boolean;

  /**
   * @param isAuto whether a program may run on fewer threads, where that is quicker
   */
  constructor(
    public kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    threads: number,
    readonly isAuto: boolean,
  ) {
    this.threads = threads;
    this.#mayBlock = threads > 1 && mayBlock();
  }

  /** The program that was written last. */
  get program(): Program {
    return this.#program;
  }

  /** Makes room for programs of so many calls and partial sums, over a model of so many elements. */
  reserve(calls: number, sums: number, elements: number): void {
    const isLarge = elements >= SMALL;
    if (calls <= this.#calls && sums <= this.#sums && isLarge === this.#isLarge) return;
    // At least twice what there was, because the workers are replaced together with the program.
    this.#calls = Math.max(calls, 2 * this.#calls);
    this.#sums = Math.max(sums, 2 * this.#sums);
    this.#isLarge = isLarge;
    this.#restart();
  }

  /** Goes on with other kernels, of the same kind. */
  use(kernels: Kernels): void {
    this.kernels = kernels;
    this.#restart();
  }

  /** To be called at the start of a step, or of another call that writes programs. */
  begin(): void {
    this.#mayReplace = true;
  }

  /**
   * To be called before `write` where `runAsync` follows: waits for workers that are still starting. So one that cannot start is
   * found before the program runs, in which it would count as one that died.
   *
   * @returns undefined if there is nothing to wait for
   * @throws (or rejects with) what `write` throws
   */
  ready(): Promise<void> | undefined {
    this.#renewPool();
    if (this.#loading !== undefined) return this.#loading.then(() => this.ready());
    return this.#pool?.isStarting ? this.#started(this.#pool) : undefined;
  }

  /**
   * An empty program, to be written and then run.
   *
   * @throws Error `ERR_WORKER` if a worker died and the pool has been replaced since `begin`
   */
  write(): Program {
    this.#renewPool();
    this.#program.clear();
    return this.#program;
  }

  /**
   * Runs the program, on all threads where this one may block.
   *
   * @throws Error `ERR_WORKER` if a worker was lost in the middle of an update
   */
  run(): void {
    const pool = this.#mayBlock ? this.#poolForThis() : undefined;
    if (pool === undefined) this.#program.run(this.kernels);
    else if (!pool.run(this.kernels)) this.#repeat(pool);
  }

  /** As `run`, without blocking: what is not small runs on the workers. After `close` it only resolves. */
  async runAsync(): Promise<void> {
    const pool = this.#poolForThis();
    if (pool === undefined) this.#program.run(this.kernels);
    else if (!(await pool.runAsync(this.kernels)) && pool === this.#pool) this.#repeat(pool);
  }

  /** Ends the workers. Nothing may be run afterwards. */
  close(): void {
    // Otherwise what waits for the code of pools would start one.
    this.#isLarge = false;
    this.#closePool();
  }

  #closePool(): void {
    this.#pool?.close();
    this.#pool = undefined;
  }

  #poolForThis(): Pool | undefined {
    return this.#program.elements < SMALL ? undefined : this.#pool;
  }

  /** Sums squares again, on the caller. An update cannot be repeated. */
  #repeat(pool: Pool): void {
    // A program has sums or updates, never both.
    if (this.#program.sums === 0) pool.throwFailure();
    this.#program.run(this.kernels);
  }

  async #started(pool: Pool): Promise<void> {
    await pool.started();
    // Closed by `close` meanwhile, or failed.
    if (pool === this.#pool) await this.ready();
  }

  get #wantsPool(): boolean {
    return this.threads > 1 && this.#isLarge;
  }

  /** Replaces a pool that has failed; starts one whose code has come meanwhile. */
  #renewPool(): void {
    const failure = this.#pool?.failure;
    if (failure === undefined) {
      if (this.#pool === undefined && this.#wantsPool && loadedPools() !== undefined) this.#restart();
      return;
    }
    if (!failure.unstarted) {
      if (!this.#mayReplace) this.#pool!.throwFailure();
      this.#mayReplace = false;
      this.#unstarted = 0;
    } else if (++this.#unstarted > 1) {
      // Only the second time, because the first may have been for want of something that is there again.
      this.#goAlone(failure.reason);
    }
    this.#restart();
  }

  /** Starts workers and gives them a new program: nothing of the old one is theirs. */
  #restart(): void {
    this.#closePool();
    const Pool = this.#wantsPool ? loadedPools() : undefined;
    try {
      if (Pool !== undefined) {
        const { module, worker } = this.kernels;
        this.#pool = new Pool(this.threads, this.memory, module, this.#calls, this.#sums, this.isAuto, worker);
        this.#program = this.#pool.program;
        return;
      }
    } catch (cause) {
      this.#goAlone(String(cause));
    }
    if (this.#wantsPool) this.#loading ??= this.#load();
    this.#program = new Program(new ArrayBuffer(Program.bytes(0, this.#calls, this.#sums)), 0, this.#calls);
  }

  /** Until the code of pools is here, steps run on the caller, as they do while workers start. */
  async #load(): Promise<void> {
    try {
      await loadPools();
    } catch (error) {
      this.#goAlone(`the code of threads could not be loaded (${String(error)})`);
    } finally {
      this.#loading = undefined;
    }
  }

  #goAlone(reason: string): void {
    warnAlone(this.threads, reason);
    this.threads = 1;
  }
}
