/** Node workers that do what they should not, and the package in a process of its own. */
import { execFile } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import type { Worker as NodeWorker, WorkerOptions } from "node:worker_threads";
import { controlLength, INSIDE } from "../../src/threads/protocol.js";
import { root } from "../support/root.js";

/**
 * What a worker does when it has taken a chunk. To linger is to be slow to leave the job; to dawdle, to be slow to enter one,
 * while the host is slow to write the next; to plod, to be slow with each chunk.
 */
export const Deed = { Work: 0, Throw: 1, Hang: 2, Exit: 3, Pause: 4, Linger: 5, Dawdle: 6, Plod: 7 } as const;
const DEED = 0;
const ARRIVED = 1;
const GATE = 2;
/** A word that nobody changes. */
const IDLE = 3;

/** In front of a worker's script, which has no doors for this: `Atomics.add` is how it takes chunks. */
const LEAD = `{
  const { control } = process.getBuiltinModule("node:worker_threads").workerData;
  if (control !== undefined) {
    const first = ${controlLength(0)};
    const { add, load, notify, wait } = Atomics;
    wait(control, ${GATE}, 1);
    Atomics.add = (array, index, value) => {
      const dawdle = () => {
        if (index === ${INSIDE} && load(control, ${DEED}) === ${Deed.Dawdle}) wait(control, ${IDLE}, 0, 3 * Math.random());
      };
      dawdle();
      const old = add(array, index, value);
      dawdle();
      const deed = load(control, ${DEED});
      if (index < first || deed === ${Deed.Work}) return old;
      add(control, ${ARRIVED}, 1);
      notify(control, ${ARRIVED});
      if (deed === ${Deed.Throw}) throw new RangeError("a deed of the test's");
      if (deed === ${Deed.Hang}) for (;;);
      if (deed === ${Deed.Exit}) process.exit(3);
      wait(control, ${DEED}, ${Deed.Pause});
      wait(control, ${DEED}, ${Deed.Plod}, 20);
      return old;
    };
    Atomics.notify = (array, index, count) => {
      wait(control, ${DEED}, ${Deed.Linger}, 300);
      return notify(array, index, count);
    };
  }
}
`;

const threads = process.getBuiltinModule("node:worker_threads");
const { Worker: Original } = threads;
const { add, store, wait } = Atomics;
const FIRST = controlLength(0);
let spawning: Workers | undefined;
/** For each pool's control words whose workers these are. */
const pools = new WeakMap<ArrayBufferLike, Workers>();

/** Workers under a test's control, in this process. */
export class Workers {
  readonly list: NodeWorker[] = [];
  readonly #control = new Int32Array(new SharedArrayBuffer(16));
  /** Whether the caller, too, waits in `step` until a worker has arrived. */
  #escorted = false;

  /** Calls what starts workers, so that these are the ones. @param starts false: they wait for `start` */
  spawn<T>(make: () => T, starts = true): T {
    if (!starts) Atomics.store(this.#control, GATE, 1);
    spawning = this;
    threads.Worker = Controlled;
    Atomics.add = escort;
    Atomics.store = delay;
    try {
      return make();
    } finally {
      spawning = undefined;
      threads.Worker = Original;
    }
  }

  start(): void {
    Atomics.store(this.#control, GATE, 0);
    Atomics.notify(this.#control, GATE);
  }

  /** What they are to do with the next chunk. In `step`, the caller takes none before one of them has. */
  next(deed: keyof typeof Deed): void {
    Atomics.store(this.#control, ARRIVED, 0);
    this.#escorted = deed !== "Work";
    Atomics.store(this.#control, DEED, Deed[deed]);
    Atomics.notify(this.#control, DEED);
  }

  get arrived(): number {
    return Atomics.load(this.#control, ARRIVED);
  }

  /** Resolves when so many have a chunk in hand. */
  async arrival(count = 1): Promise<void> {
    while (this.arrived < count) await turn();
  }

  /** The caller takes a chunk. */
  meet(): void {
    if (this.#escorted) Atomics.wait(this.#control, ARRIVED, 0, 30_000);
  }

  /** The host writes a word of a job. */
  writes(): void {
    if (Atomics.load(this.#control, DEED) === Deed.Dawdle) Atomics.wait(this.#control, IDLE, 0, 0.5);
  }

  launch(script: string, options: WorkerOptions): ConstructorParameters<typeof NodeWorker> {
    pools.set((options.workerData as { shared: SharedArrayBuffer }).shared, this);
    return [LEAD + script, { ...options, workerData: { ...options.workerData, control: this.#control } }];
  }
}

class Controlled extends Original {
  constructor(script: string | URL, options: WorkerOptions = {}) {
    super(...spawning!.launch(String(script), options));
    spawning!.list.push(this);
  }
}

const escort = ((array: Int32Array, index: number, value: number) => {
  if (index >= FIRST) pools.get(array.buffer)?.meet();
  return add(array, index, value);
}) as typeof Atomics.add;

const delay = ((array: Int32Array, index: number, value: number) => {
  pools.get(array.buffer)?.writes();
  return store(array, index, value);
}) as typeof Atomics.store;

/** The interval in which a pool looks after its workers, in milliseconds. It counts such polls, and no time: so does a test of it. */
const POLL_MS = 100;
let waits = 0;
Atomics.wait = ((array: Int32Array, index: number, value: number, timeout?: number) => {
  if (timeout === POLL_MS) waits++;
  return wait(array, index, value, timeout);
}) as typeof Atomics.wait;

/** How many polls pass while `run` goes on: in `step` this thread waits in them, for a `stepAsync` its event loop does. */
export async function pollsOf(run: () => Promise<unknown>): Promise<number> {
  const before = waits;
  let turns = 0;
  const timer = setInterval(() => turns++, POLL_MS);
  await run();
  clearInterval(timer);
  return waits - before + turns;
}

/**
 * What a script of the package's user prints, in a Node of its own. Rejects unless it ends by itself and well. The timeout is there
 * for one that hangs.
 *
 * @param descriptors how many files the process may have open; undefined: as many as this one
 */
export async function child(
  script: string,
  flags: readonly string[] = [],
  timeout = 120_000,
  descriptors?: number,
): Promise<string> {
  const node = [process.execPath, ...flags, "--input-type=module", "--eval", script];
  const limit = descriptors === undefined ? "" : `ulimit -n ${descriptors} && `;
  const args = ["-c", `${limit}exec "$0" "$@"`, ...node];
  return new Promise((resolve, reject) => {
    execFile("/bin/sh", args, { cwd: root, timeout, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim() + stderr.trim());
      else
        reject(new Error(`${error.killed ? `killed after ${timeout} ms: ` : ""}${error.message}\n${stdout}${stderr}`));
    });
  });
}
