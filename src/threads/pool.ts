import { fail } from "../checks/errors.js";
import { Program } from "../kernels/program.js";
import { type Kernels, NORM_BLOCK } from "../kernels/table.js";

import {
  controlLength,
  DONE,
  deal,
  FAILED,
  INSIDE,
  JOB,
  LEFT,
  OPEN,
  POST,
  pulse,
  readFailure,
  SIZE,
  takeAll,
  waitFor,
  workThrough,
} from "./protocol.js";
import { type Assignment, spawn, type Terminate } from "./spawn.js";
import { Trials } from "./trials.js";

/** The poll interval of whoever waits for workers, in milliseconds. */
const POLL_MS = 100;
/** How long workers may take to start, and a job may show no progress, before they count as lost. A chunk takes microseconds. */
const TIMEOUT_MS = 5000;
/** How long `close` waits for healthy workers to finish their chunks, on a machine that has much else to do. */
const CLOSE_MS = 1000;

/** Chunks per thread, if there is enough to do, so that all threads end at nearly the same time … */
const CHUNKS_PER_THREAD = 8;
/** … of at most so many blocks of `NORM_BLOCK` elements. Not more chunks than that: to take one costs 0.2 µs. */
const MAX_BLOCKS = 16;

/** `Atomics.waitAsync` of ES2024. */
type WaitAsync = (array: Int32Array, index: number, value: number) => { value: PromiseLike<unknown> | string };

/** Why a pool is of no more use. */
interface Failure {
  readonly reason: string;
  readonly cause: unknown;
  /** Whether it is that a worker could not start. */
  readonly unstarted: boolean;
}

/** Workers that share one program and one memory with the caller. A pool that has lost a worker has to be replaced. */
export class Pool {
  readonly program: Program;
  readonly #control: Int32Array;
  readonly #terminate: Terminate[] = [];
  /** How many workers have not started yet. */
  #missing: number;
  /** Of programs that sum squares and of those that update, which take different times per element; none: all threads, always. */
  readonly #trials: readonly [Trials, Trials] | undefined;
  #startTimer: ReturnType<typeof setInterval> | undefined;
  #failure: Failure | undefined;
  #isClosed = false;
  /** Resolves the promise that an asynchronous call waits for. */
  #wake: () => void = () => {};

  /**
   * @param module for the workers; none: TypeScript's kernels
   * @param room how many calls the program has room for
   * @param sums how many partial sums
   * @param script of the workers; undefined: the usual one
   * @param isAuto whether `run` may leave the workers out where the caller alone is quicker
   */
  constructor(
    readonly threads: number,
    memory: WebAssembly.Memory,
    module: Assignment["module"],
    room: number,
    sums: number,
    isAuto = false,
    script?: string,
  ) {
    this.#trials = isAuto ? [new Trials(), new Trials()] : undefined;
    const length = controlLength(threads);
    const shared = new SharedArrayBuffer(Program.bytes(length, room, sums));
    this.#control = new Int32Array(shared, 0, length);
    this.program = new Program(shared, length, room);
    // The caller is the last of the threads.
    this.#missing = threads - 1;
    try {
      for (let me = 0; me < threads - 1; me++) this.#spawn({ memory, shared, threads, me, room, module }, script);
      this.#watchStart();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Why it has to be replaced, as far as is known; undefined: it has not. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  get isStarting(): boolean {
    return this.#missing > 0 && this.#failure === undefined && !this.#isClosed;
  }

  /** Resolves when all workers have started, or the pool has failed, or is closed. */
  async started(): Promise<void> {
    while (this.isStarting) await this.#event();
  }

  /**
   * Runs the program, the caller doing its share. Blocks until the workers have done theirs.
   *
   * @returns false if a worker was lost in the middle of a chunk; the pool is closed then
   */
  run(kernels: Kernels): boolean {
    const { program } = this;
    const together = () => this.#runTogether(kernels);
    const alone = () => {
      program.run(kernels);
      return true;
    };
    // A program has sums or updates, never both.
    const trials = this.#trials?.[program.sums > 0 ? 0 : 1];
    return trials === undefined ? together() : trials.run(program.elements, alone, together);
  }

  #runTogether(kernels: Kernels): boolean {
    const control = this.#control;
    Atomics.store(control, POST, 0);
    this.#open(this.threads);
    this.#takePart(kernels, this.threads - 1);
    Atomics.store(control, OPEN, 0);
    const watchdog = new Watchdog(control);
    let areOut = false;
    for (;;) {
      const left = Atomics.load(control, LEFT);
      areOut = Atomics.load(control, INSIDE) === 0;
      if (areOut) break;
      waitFor(control, LEFT, left, POLL_MS);
      if (this.#isStalled(watchdog)) break;
    }
    if (this.#isComplete(areOut)) return true;
    this.close();
    // Nobody changes the word, so this only lets time pass: a worker that is still inside finishes one chunk at most.
    Atomics.wait(control, POST, 0, POLL_MS);
    return false;
  }

  /**
   * Runs the program on the workers alone. What they leave undone because one of them died between two chunks, the caller does.
   *
   * @returns false if a worker was lost in the middle of a chunk, or the pool was closed meanwhile; it is closed then
   */
  async runAsync(kernels: Kernels): Promise<boolean> {
    const control = this.#control;
    Atomics.store(control, POST, waitAsync() === undefined ? 1 : 0);
    this.#open(this.threads - 1);
    const isInside = () => Atomics.load(control, INSIDE) !== 0;
    const isUndone = () =>
      Atomics.load(control, DONE) === 0 && Atomics.load(control, FAILED) === 0 && this.#failure === undefined;
    await this.#while(() => isInside() || isUndone());
    if (this.#isClosed) return false;
    Atomics.store(control, OPEN, 0);
    const areOut = await this.#while(isInside);
    if (this.#isClosed) return false;
    if (this.#isComplete(areOut)) {
      if (Atomics.load(control, DONE) === 0) this.#takePart(kernels, 0);
      return true;
    }
    this.#stop();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await Promise.all(this.#terminateAll());
    return false;
  }

  /** Ends the workers, and a job that is running: afterwards none of them writes to the model. */
  close(): void {
    if (this.#isClosed) return;
    this.#stop();
    // A worker that is lost may be inside for ever. All others come out after one chunk.
    const end = performance.now() + (this.#failure === undefined ? CLOSE_MS : POLL_MS);
    while (Atomics.load(this.#control, INSIDE) !== 0 && performance.now() < end);
    this.#terminateAll();
  }

  /** @throws Error `ERR_WORKER` that says why the pool has failed */
  throwFailure(): never {
    const { reason, cause } = this.#failure!;
    fail(Error, "ERR_WORKER", "threads", "workers that do their part of a step", reason, cause);
  }

  #spawn(assignment: Assignment, script: string | undefined): void {
    let isStarted = false;
    const handlers = {
      started: () => {
        isStarted = true;
        if (--this.#missing > 0) return;
        clearInterval(this.#startTimer);
        this.#wake();
      },
      left: () => this.#wake(),
      // An error in a job comes from a worker that has started, even if that news has not arrived yet.
      failed: (reason: string, cause: unknown) => {
        this.#fail(reason, cause, !isStarted && readFailure(this.#control) === undefined);
      },
      ended: (reason: string) => this.#fail(reason),
    };
    this.#terminate.push(spawn(assignment, handlers, script));
  }

  #fail(reason: string, cause?: unknown, unstarted = false): void {
    if (this.#isClosed) return;
    this.#failure ??= { reason, cause, unstarted };
    clearInterval(this.#startTimer);
    this.#wake();
  }

  /**
   * Finds out if workers do not start. Counts turns of this thread's event loop, which some hosts need to start one: while this
   * thread was busy, nobody could start. Never keeps a process alive.
   */
  #watchStart(): void {
    let polls = 0;
    this.#startTimer = setInterval(() => {
      if (++polls > TIMEOUT_MS / POLL_MS) {
        this.#fail(`${this.#missing} workers that did not start within ${TIMEOUT_MS} ms`, undefined, true);
      }
    }, POLL_MS);
    (this.#startTimer as { unref?(): void }).unref?.();
  }

  /** @param threads how many take part */
  #open(threads: number): void {
    const control = this.#control;
    const blocks = Math.ceil(this.program.elements / (threads * CHUNKS_PER_THREAD * NORM_BLOCK));
    const size = NORM_BLOCK * Math.min(MAX_BLOCKS, blocks);
    const chunks = this.program.chunks(size);
    deal(control, threads, chunks);
    Atomics.store(control, SIZE, size);
    Atomics.store(control, DONE, 0);
    Atomics.store(control, OPEN, chunks);
    Atomics.add(control, JOB, 1);
    Atomics.notify(control, JOB);
  }

  /** Does the chunks that nobody has taken. @param me whose share comes first */
  #takePart(kernels: Kernels, me: number): void {
    const { program } = this;
    const size = Atomics.load(this.#control, SIZE);
    workThrough(this.#control, me, program.chunks(size), (take, end) => program.runChunks(kernels, size, take, end));
  }

  /**
   * Of a job that is closed: whether every chunk that was taken has been done.
   *
   * @param areOut whether nobody has been inside since it was closed, for a moment at least: who enters later finds it closed
   */
  #isComplete(areOut: boolean): boolean {
    const error = readFailure(this.#control);
    if (error !== undefined) this.#fail(`a worker that threw ${error}`);
    return error === undefined && areOut;
  }

  /** Closes the job that is open and leaves no chunk to be taken. Workers that have one finish it. */
  #stop(): void {
    Atomics.store(this.#control, OPEN, 0);
    takeAll(this.#control);
  }

  #terminateAll(): unknown[] {
    this.#isClosed = true;
    clearInterval(this.#startTimer);
    // Ends what an asynchronous call waits for, `waitAsync` included.
    this.#wake();
    Atomics.notify(this.#control, LEFT);
    return this.#terminate.splice(0).map((terminate) => terminate());
  }

  /** Waits until `isBusy` returns false, or the job makes no progress. @returns whether it has returned false */
  async #while(isBusy: () => boolean): Promise<boolean> {
    const watchdog = new Watchdog(this.#control);
    for (;;) {
      const left = Atomics.load(this.#control, LEFT);
      if (!isBusy()) return true;
      if (this.#isClosed || (!(await this.#event(left)) && this.#isStalled(watchdog))) return false;
    }
  }

  /**
   * Waits for a worker to start, to fail or, if `left` is the number of times so far, to leave a job. Keeps the process alive.
   *
   * @returns false if nothing happened during a poll interval
   */
  async #event(left?: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const happened = await new Promise<boolean>((resolve) => {
      this.#wake = () => resolve(true);
      timer = setTimeout(resolve, POLL_MS, false);
      if (left === undefined) return;
      const { value } = waitAsync()?.(this.#control, LEFT, left) ?? {};
      if (value !== undefined) Promise.resolve(value).then(this.#wake);
    });
    clearTimeout(timer);
    return happened;
  }

  #isStalled(watchdog: Watchdog): boolean {
    // Once a worker is known to be lost, the others' progress is all that there is to wait for.
    const isOver = watchdog.isOver(this.#failure === undefined ? TIMEOUT_MS : POLL_MS);
    if (isOver) this.#fail(`workers that did nothing for ${TIMEOUT_MS} ms`);
    return isOver;
  }
}

/** Looked up when it is needed: not every host has `Atomics`, and not every `Atomics` has it. */
function waitAsync(): WaitAsync | undefined {
  return (Atomics as { waitAsync?: WaitAsync }).waitAsync;
}

/** Tells when a job has made no progress for long. Counts polls, not time: a machine that was asleep has not stood still. */
class Watchdog {
  #polls = 0;
  #seen = -1;

  constructor(readonly control: Int32Array) {}

  isOver(limit: number): boolean {
    const seen = pulse(this.control);
    this.#polls = seen === this.#seen ? this.#polls + 1 : 0;
    this.#seen = seen;
    return this.#polls > limit / POLL_MS;
  }
}
