/**
 * How the threads of a pool talk to each other: control words, Int32, at the start of the memory that they share. Every word has a
 * cache line of its own, so that writing one does not slow down who reads another.
 *
 * A job is open while `OPEN` holds the number of its chunks. A worker that enters a job counts itself in `INSIDE` first and reads
 * `OPEN` then; a host that closes a job sets `OPEN` to 0 first and reads `INSIDE` then. So once a job is closed and nobody is
 * inside, no worker touches the model, however late it wakes up, and the next job may be written.
 */
const LINE = 16;
/** How many jobs there have been: workers sleep until it changes. */
export const JOB = 0;
/** How many chunks the job has; 0 while it is closed. */
export const OPEN = LINE;
/** How many workers may be working. One that dies while it works stays counted. */
export const INSIDE = 2 * LINE;
/** How many times a worker has left a job: the host sleeps until it changes. */
export const LEFT = 3 * LINE;
/** How many workers have found no chunk left to take in the job that is open. */
export const DONE = 4 * LINE;
/** Length of the message of an error that a worker met in a job; 0: none. */
export const FAILED = 5 * LINE;
/** 1 if workers have to post a message when they leave a job, for a host that cannot wait for a word to change. */
export const POST = 6 * LINE;
/** The message of the error, in UTF-16. */
const MESSAGE = 7 * LINE;
const MESSAGE_UNITS = 16 * LINE;
/** How many elements a chunk has. */
export const SIZE = MESSAGE + MESSAGE_UNITS / 2;
/** How many threads have a share of the chunks. */
const SHARES = SIZE + LINE;
/** The next chunk of each thread's share: a line for each. */
const NEXT = SHARES + LINE;

/** What workers post to their host. */
export const STARTED = "started";

/** How many control words there are for so many threads. */
export function controlLength(threads: number): number {
  return NEXT + threads * LINE;
}

/**
 * Gives every thread a share of a job's chunks, before the job is opened. In each step of a model a thread has the same share, which
 * its core's cache may still hold. A thread that is done with its own share goes on with the others'.
 */
export function deal(control: Int32Array, threads: number, chunks: number): void {
  Atomics.store(control, SHARES, threads);
  for (let i = 0; i < threads; i++) Atomics.store(control, NEXT + i * LINE, startOf(i, threads, chunks));
}

/** Leaves no chunk to be taken. */
export function takeAll(control: Int32Array): void {
  for (let i = Atomics.load(control, SHARES); i-- > 0; ) Atomics.store(control, NEXT + i * LINE, 2 ** 30);
}

/** Calls `work` for every share, thread `me`'s own first, with a function that takes the next chunk and with the end of the share. */
export function workThrough(
  control: Int32Array,
  me: number,
  chunks: number,
  work: (take: () => number, end: number) => void,
): void {
  const threads = Atomics.load(control, SHARES);
  for (let i = 0; i < threads; i++) {
    const owner = (me + i) % threads;
    work(() => Atomics.add(control, NEXT + owner * LINE, 1), startOf(owner + 1, threads, chunks));
  }
}

/** A number that changes whenever a chunk is taken or a worker leaves. */
export function pulse(control: Int32Array): number {
  let sum = Atomics.load(control, LEFT);
  for (let i = Atomics.load(control, SHARES); i-- > 0; ) sum += Atomics.load(control, NEXT + i * LINE);
  return sum;
}

function startOf(thread: number, threads: number, chunks: number): number {
  return Math.floor((thread * chunks) / threads);
}

/** Tells the host of an error in a job. */
export function writeFailure(control: Int32Array, error: unknown): void {
  // Not by TextEncoder, which not every realm has.
  const text = String(error).slice(0, MESSAGE_UNITS) || "an error";
  const units = messageOf(control);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  Atomics.store(control, FAILED, text.length);
}

/** What a worker wrote by `writeFailure`; undefined if none did. */
export function readFailure(control: Int32Array): string | undefined {
  const length = Atomics.load(control, FAILED);
  return length === 0 ? undefined : String.fromCharCode(...messageOf(control).subarray(0, length));
}

function messageOf(control: Int32Array): Uint16Array {
  return new Uint16Array(control.buffer, control.byteOffset + 4 * MESSAGE, MESSAGE_UNITS);
}

/** How often a word is read before the thread sleeps: to fall asleep and be woken takes longer than many a step. */
const SPINS = 20000;

/** Returns when a word differs from `old`, or after `timeout` milliseconds, or earlier for no reason. Blocks where that is allowed. */
export function waitFor(control: Int32Array, word: number, old: number, timeout?: number): void {
  for (let i = 0; i < SPINS; i++) if (Atomics.load(control, word) !== old) return;
  Atomics.wait(control, word, old, timeout);
}
