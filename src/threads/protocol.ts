/**
 * How the threads of a pool talk: Int32 words at the start of a program's memory, each on a cache line of its own.
 *
 * A job is open while `OPEN` holds the number of its chunks. Whoever enters counts itself in `INSIDE` first and looks at `OPEN`
 * then; whoever closes sets `OPEN` to 0 first and looks at `INSIDE` then. So once a closed job has nobody inside, nobody touches
 * the model, however late a worker wakes up, and the next job may be written.
 */
const LINE = 16;
/** Counts jobs: workers sleep on it. */
export const JOB = 0;
export const OPEN = LINE;
/** Workers that may be working. */
export const INSIDE = 2 * LINE;
/** How often a worker has left. */
export const LEFT = 3 * LINE;
/** How many have found nothing left to do in the job that is open. */
export const DONE = 4 * LINE;
/** Workers that have started. */
export const STARTED = 5 * LINE;
/** Length in bytes of the message of an error that a worker met, which stands at `MESSAGE`. */
export const FAILED = 6 * LINE;
/** Whether workers are to post a message whenever they leave, for a host that cannot wait for a word. */
export const POST = 7 * LINE;
export const MESSAGE = 8 * LINE;
/** In bytes. */
export const LONGEST_MESSAGE = 32 * LINE;
/** Elements of a chunk. */
export const SIZE = 16 * LINE;
/** How many threads the chunks are dealt to. */
const DEALT = 17 * LINE;
/** The chunk that comes next in a thread's share; a line for each. */
const NEXT = 18 * LINE;

/** Words before the program, for so many threads. */
export function headerLength(threads: number): number {
  return NEXT + threads * LINE;
}

/**
 * Deals out a job's chunks before it is opened: everyone gets a share, the same in every step of a model, because that is what
 * the core's cache still holds. Who is done with its own goes on with the others'.
 */
export function deal(header: Int32Array, threads: number, chunks: number): void {
  Atomics.store(header, DEALT, threads);
  for (let i = 0; i < threads; i++) Atomics.store(header, NEXT + i * LINE, startOf(i, threads, chunks));
}

/** Leaves nothing to be taken. */
export function takeAll(header: Int32Array): void {
  for (let i = Atomics.load(header, DEALT); i-- > 0; ) Atomics.store(header, NEXT + i * LINE, 2 ** 30);
}

/** Hands the shares to `work`, thread `me`'s own first, as a function that takes the next chunk, and where the share ends. */
export function workThrough(
  header: Int32Array,
  me: number,
  chunks: number,
  work: (take: () => number, end: number) => void,
): void {
  const threads = Atomics.load(header, DEALT);
  for (let i = 0; i < threads; i++) {
    const owner = (me + i) % threads;
    work(() => Atomics.add(header, NEXT + owner * LINE, 1), startOf(owner + 1, threads, chunks));
  }
}

/** Changes whenever a chunk is taken or a worker leaves. */
export function pulse(header: Int32Array): number {
  let sum = Atomics.load(header, LEFT);
  for (let i = Atomics.load(header, DEALT); i-- > 0; ) sum += Atomics.load(header, NEXT + i * LINE);
  return sum;
}

function startOf(thread: number, threads: number, chunks: number): number {
  return Math.floor((thread * chunks) / threads);
}

/** Looks at a word for a while before it sleeps, because falling asleep and being woken take longer than many a step. */
const SPINS = 20000;

/** Returns when a word differs from `old`, or after `timeout` milliseconds, or for no reason. Where it may, it blocks. */
export function watch(header: Int32Array, word: number, old: number, timeout?: number): void {
  for (let i = 0; i < SPINS; i++) if (Atomics.load(header, word) !== old) return;
  Atomics.wait(header, word, old, timeout);
}

/** Whether this thread may wait for a word. A browser's main thread may not. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
