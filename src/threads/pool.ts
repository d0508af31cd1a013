import { fail } from "../checks/errors.js";
import { Program } from "../kernels/program.js";
import { type Kernels, NORM_BLOCK } from "../kernels/table.js";
import { type Fire, hire } from "./host.js";
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
} from "./protocol.js";

/**
 * How long a worker may take to start, and how long a job may go without a chunk taken or a worker leaving, in milliseconds, before
 * workers count as lost. A chunk takes microseconds.
 */
const PATIENCE = 5000;
/** How often a host that waits looks for itself. */
const GLANCE = 100;
/** How long a worker that nobody misses may take to finish a chunk when it is dismissed, on a machine with much else to do. */
const LEAVE = 1000;

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
  readonly #starting: ReturnType<typeof setInterval> | undefined;
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
    const ears = {
      ended: (reason: string, cause?: unknown) => this.#end(reason, cause),
      left: () => this.#wake(),
    };
    try {
      // The caller is the last of the threads.
      for (let me = 0; me < threads - 1; me++) {
        this.#fire.push(hire({ memory, shared, threads, me, room, module }, ears));
      }
      this.#starting = this.#awaitStart();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws Error `ERR_WORKER` if a worker is known to be lost */
  check(): void {
    if (this.#ended !== undefined) this.#fail();
  }

  /** Runs the program, the caller doing its share. Blocks until the workers have done theirs. @throws as `check` */
  run(kernels: Kernels): void {
    const header = this.#header;
    Atomics.store(header, POST, 0);
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
    Atomics.store(header, POST, waitAsync === undefined ? 1 : 0);
    this.#open(this.threads - 1);
    const isInside = () => Atomics.load(header, INSIDE) !== 0;
    await this.#while(() => isInside() || (Atomics.load(header, DONE) === 0 && !this.#hasFailed()));
    Atomics.store(header, OPEN, 0);
    await this.#while(isInside);
    if (!this.#hasFailed()) return;
    this.#shut();
    await new Promise((resolve) => setTimeout(resolve, GLANCE));
    await Promise.all(this.#dismiss());
    this.#fail();
  }

  /** Ends a job that is running, and the workers: afterwards none of them writes to the model. */
  close(): void {
    if (this.#fire.length === 0) return;
    this.#shut();
    // One that is lost may have been inside and stay so for ever. All others come out.
    const end = performance.now() + (this.#ended === undefined ? LEAVE : GLANCE);
    while (Atomics.load(this.#header, INSIDE) !== 0 && performance.now() < end);
    this.#dismiss();
  }

  /** Lets nobody take another chunk of a job. Whoever has one finishes it. */
  #shut(): void {
    Atomics.store(this.#header, OPEN, 0);
    takeAll(this.#header);
  }

  #dismiss(): unknown[] {
    clearInterval(this.#starting);
    this.#end("one that was dismissed");
    // So that no `waitAsync` is left waiting.
    Atomics.notify(this.#header, LEFT);
    return this.#fire.splice(0).map((fire) => fire());
  }

  #end(reason: string, cause?: unknown): void {
    this.#ended ??= { reason, cause };
    this.#wake();
  }

  /**
   * Finds out if a worker does not start. Counts turns of this thread's event loop, which some hosts need to start one: a host
   * that was busy has not waited. Never keeps a process alive.
   */
  #awaitStart(): ReturnType<typeof setInterval> {
    let glances = 0;
    const timer: ReturnType<typeof setInterval> = setInterval(() => {
      const missing = this.threads - 1 - Atomics.load(this.#header, STARTED);
      if (missing === 0) clearInterval(timer);
      else if (++glances > PATIENCE / GLANCE) this.#end(`${missing} that did not start within ${PATIENCE} ms`);
    }, GLANCE);
    (timer as { unref?(): void }).unref?.();
    return timer;
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
    if (patience.isOver()) this.#end(`none that did anything for ${PATIENCE} ms`);
    return this.#ended !== undefined;
  }

  #hasFailed(): boolean {
    const length = Atomics.load(this.#header, FAILED);
    if (length > 0) {
      const message = new Uint8Array(this.program.memory, 4 * MESSAGE, length).slice();
      this.#end(`one that threw ${new TextDecoder().decode(message)}`);
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
