import { fail } from "./errors.js";
import { type Fire, hire } from "./hire.js";
import { type Kernels, NORM_BLOCK } from "./kernels.js";
import { Program } from "./program.js";
import {
  DONE,
  deal,
  FAILED,
  headerLength,
  INSIDE,
  JOB,
  LEFT,
  MESSAGE,
  OPEN,
  POST,
  pulse,
  SIZE,
  STARTED,
  takeAll,
  watch,
  workThrough,
} from "./signals.js";

/**
 * How long a worker may take to start, and how long a job may go without a chunk taken or a worker leaving, in milliseconds, before
 * workers count as lost. A chunk takes microseconds.
 */
const PATIENCE = 5000;
/** How often a host that waits looks for itself. */
const GLANCE = 100;

/** Chunks a thread is to have, if there is enough to do, */
const EACH = 8;
/** and the most blocks of `NORM_BLOCK` elements in one. */
const MOST = 16;

/** `Atomics.waitAsync` of ES2024, where there is one. */
type WaitAsync = (array: Int32Array, index: number, value: number) => { value: PromiseLike<unknown> | string };
const waitAsync: WaitAsync | undefined = (Atomics as { waitAsync?: WaitAsync }).waitAsync;

/** Workers over one program and one memory, beside the caller. Once one is lost, the pool is of no more use. */
export class Pool {
  readonly program: Program;
  readonly #header: Int32Array;
  /** How to be rid of each worker. */
  readonly #fire: Fire[] = [];
  readonly #hired = Date.now();
  /** Why the pool is of no more use. */
  #ended: { readonly reason: string; readonly cause: unknown } | undefined;
  /** Settles what an asynchronous job is waiting for. */
  #wake: () => void = () => {};

  /**
   * @param module for the workers; none: TypeScript's kernels
   * @param room how many calls the program has room for
   * @param sums how many partial sums
   */
  constructor(
    readonly threads: number,
    memory: WebAssembly.Memory,
    module: Uint8Array<ArrayBuffer> | undefined,
    room: number,
    sums: number,
  ) {
    const words = headerLength(threads);
    const shared = new SharedArrayBuffer(Program.bytes(words, room, sums));
    this.#header = new Int32Array(shared, 0, words);
    this.program = new Program(shared, words, room);
    if (waitAsync === undefined) Atomics.store(this.#header, POST, 1);
    const ears = {
      ended: (reason: string, cause?: unknown) => {
        this.#ended ??= { reason, cause };
        this.#wake();
      },
      left: () => this.#wake(),
    };
    try {
      // The caller is the last of the threads.
      for (let me = 0; me < threads - 1; me++) {
        this.#fire.push(hire({ memory, shared, threads, me, room, module }, ears));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws Error `ERR_WORKER` if a worker is known to be lost */
  check(): void {
    const missing = this.#fire.length - Atomics.load(this.#header, STARTED);
    if (missing > 0 && Date.now() - this.#hired > PATIENCE) {
      this.#ended ??= { reason: `${missing} that did not start within ${PATIENCE} ms`, cause: undefined };
    }
    if (this.#ended !== undefined) this.#fail();
  }

  /** Runs the program, the caller doing its share. Blocks until the workers have done theirs. @throws as `check` */
  run(kernels: Kernels): void {
    const header = this.#header;
    const size = this.#open(this.threads);
    workThrough(header, this.threads - 1, Atomics.load(header, OPEN), (take, end) =>
      this.program.runChunks(kernels, size, take, end),
    );
    Atomics.store(header, OPEN, 0);
    const patience = new Patience(header);
    for (;;) {
      const left = Atomics.load(header, LEFT);
      if (Atomics.load(header, INSIDE) === 0) break;
      watch(header, LEFT, left, GLANCE);
      if (this.#isLost(patience)) break;
    }
    if (!this.#hasFailed()) return;
    this.close();
    // The word stays as it is, so this only lets time pass: whoever is inside finishes a chunk at most.
    Atomics.wait(header, POST, Atomics.load(header, POST), GLANCE);
    this.#fail();
  }

  /** Runs the program on the workers alone. Rejects as `run` throws. */
  async runAsync(): Promise<void> {
    const header = this.#header;
    this.#open(this.threads - 1);
    const isInside = () => Atomics.load(header, INSIDE) !== 0;
    await this.#while(() => isInside() || (Atomics.load(header, DONE) === 0 && !this.#hasFailed()));
    Atomics.store(header, OPEN, 0);
    await this.#while(isInside);
    if (!this.#hasFailed()) return;
    this.close();
    await new Promise((resolve) => setTimeout(resolve, GLANCE));
    this.#fail();
  }

  /** Ends a job that is running, and the workers: afterwards none of them writes to the model. */
  close(): void {
    const header = this.#header;
    Atomics.store(header, OPEN, 0);
    // Whoever has a chunk finishes it, or has been lost with it.
    takeAll(header);
    for (const end = Date.now() + GLANCE; this.#ended === undefined && Date.now() < end; ) {
      if (Atomics.load(header, INSIDE) === 0) break;
    }
    this.#ended ??= { reason: "one that was dismissed", cause: undefined };
    for (const fire of this.#fire.splice(0)) fire();
    this.#wake();
  }

  /** @param threads how many take part @returns how many elements a chunk has */
  #open(threads: number): number {
    const header = this.#header;
    const { program } = this;
    // Some chunks for each thread, so that all end at nearly the same time; large ones, because to take one costs 0.2 µs.
    const size = NORM_BLOCK * Math.min(MOST, Math.ceil(program.elements / (threads * EACH * NORM_BLOCK)));
    const chunks = program.chunks(size);
    deal(header, threads, chunks);
    Atomics.store(header, SIZE, size);
    Atomics.store(header, DONE, 0);
    Atomics.store(header, OPEN, chunks);
    Atomics.add(header, JOB, 1);
    Atomics.notify(header, JOB);
    return size;
  }

  async #while(busy: () => boolean): Promise<void> {
    const patience = new Patience(this.#header);
    for (;;) {
      const left = Atomics.load(this.#header, LEFT);
      if (this.#ended !== undefined || !busy()) return;
      await this.#news(left);
      if (this.#isLost(patience)) return;
    }
  }

  /** Resolves when a worker has left or ended, or after a while. Its timer keeps a process alive that waits for a step. */
  async #news(left: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, GLANCE);
      if (waitAsync !== undefined) Promise.resolve(waitAsync(this.#header, LEFT, left).value).then(() => resolve());
    });
    clearTimeout(timer);
  }

  #isLost(patience: Patience): boolean {
    if (patience.isOver()) this.#ended ??= { reason: `none that did anything for ${PATIENCE} ms`, cause: undefined };
    return this.#ended !== undefined;
  }

  #hasFailed(): boolean {
    const length = Atomics.load(this.#header, FAILED);
    if (length > 0) {
      const message = new Uint8Array(this.program.memory, 4 * MESSAGE, length).slice();
      this.#ended ??= { reason: `one that threw ${new TextDecoder().decode(message)}`, cause: undefined };
    }
    return this.#ended !== undefined;
  }

  #fail(): never {
    const { reason, cause } = this.#ended!;
    fail(Error, "ERR_WORKER", "threads", "workers that do their part of a step", reason, cause);
  }
}

/** Runs out when a job has shown no sign of life for long. Counts glances, not time: a machine that slept has not been idle. */
class Patience {
  #glances = 0;
  #seen = -1;

  constructor(readonly header: Int32Array) {}

  isOver(): boolean {
    const seen = pulse(this.header);
    this.#glances = seen === this.#seen ? this.#glances + 1 : 0;
    this.#seen = seen;
    return this.#glances > PATIENCE / GLANCE;
  }
}
