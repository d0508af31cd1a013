/** What tests of threads share: models that are large enough for them, and workers that do what they should not. */
import { execFile } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Worker as NodeWorker, WorkerOptions } from "node:worker_threads";
import { Adam, type AdamOptions, AdamW, type RuntimeOptions, type StepOptions } from "fused-adam";
import { expect } from "vitest";
import { NORM_BLOCK } from "../../src/kernels.js";
import { headerLength, INSIDE } from "../../src/signals.js";
import { SMALL } from "../../src/threads.js";
import { firstDifference } from "../support/bits.js";
import { dyadic, type Mode, type Optimizer } from "../support/model.js";

export { NORM_BLOCK, SMALL };

export function create(
  mode: Mode,
  params: Parameters<typeof AdamW.createSync>[0],
  options: AdamOptions & RuntimeOptions = {},
): Optimizer {
  return (mode === "adam" ? Adam : AdamW).createSync(params, options);
}

/** Enough for threads, in lengths that no block, line or chunk divides. */
export function large(): Record<string, Float32Array> {
  return { a: dyadic(SMALL + 4097, 1), b: dyadic(30001, 2), c: dyadic(1, 3) };
}

/** The same gradients for all of them. */
export function fillAll(optimizers: readonly Optimizer[], seed: number, kind: (n: number, s: number) => Float32Array) {
  for (const [i, name] of optimizers[0]!.names.entries()) {
    const values = kind(optimizers[0]!.grad(name).length, 31 * seed + i);
    for (const optimizer of optimizers) optimizer.grad(name).set(values);
  }
}

/** By the bytes, which is quick; only where those differ, element by element. Parameters, gradients, and with `state` all else. */
export function expectSameRun(actual: Optimizer, expected: Optimizer, when: string, state = true): void {
  const same = (what: string, a: Float32Array, b: Float32Array) => {
    if (Buffer.compare(bytesOf(a), bytesOf(b)) === 0) return;
    const at = firstDifference(a, b);
    if (at >= 0) throw new Error(`${when}, ${what}: element ${at} of ${a.length} is ${a[at]}, expected ${b[at]}`);
  };
  for (const name of expected.names) {
    same(`param of ${name}`, actual.param(name), expected.param(name));
    same(`grad of ${name}`, actual.grad(name), expected.grad(name));
  }
  if (!state) return;
  const [a, b] = [actual.stateDict(), expected.stateDict()];
  expect(a.param_groups, when).toEqual(b.param_groups);
  for (const name of expected.names) {
    const [entry, other] = [a.state[name]!, b.state[name]!];
    expect(entry.step, `${when}, step of ${name}`).toBe(other.step);
    same(`expAvg of ${name}`, entry.exp_avg, other.exp_avg);
    same(`expAvgSq of ${name}`, entry.exp_avg_sq, other.exp_avg_sq);
    expect(entry.max_exp_avg_sq === undefined).toBe(other.max_exp_avg_sq === undefined);
    if (other.max_exp_avg_sq) same(`maxExpAvgSq of ${name}`, entry.max_exp_avg_sq!, other.max_exp_avg_sq);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The step counts, and nothing else, of an optimizer. */
export function countsOf(optimizer: Optimizer): number[] {
  const { state } = optimizer.stateDict();
  return optimizer.names.map((name) => state[name]!.step);
}

export type Call = "step" | "stepAsync";
export const CALLS = ["step", "stepAsync"] as const;

/** A promise in both cases; `step` has run when this returns. */
export async function call(how: Call, optimizer: Optimizer, options?: StepOptions) {
  return optimizer[how](options);
}

/**
 * What a worker does when it has taken a chunk. To linger is to be slow to leave the job; to dawdle, to be slow to enter one,
 * while the host is slow to write the next.
 */
export const Deed = { Work: 0, Throw: 1, Hang: 2, Exit: 3, Pause: 4, Linger: 5, Dawdle: 6 } as const;
const DEED = 0;
const ARRIVED = 1;
const GATE = 2;
/** A word that nobody changes. */
const IDLE = 3;

/** In front of a worker's script, which has no doors for this: `Atomics.add` is how it takes chunks. */
const LEAD = `{
  const { control } = process.getBuiltinModule("node:worker_threads").workerData;
  if (control !== undefined) {
    const first = ${headerLength(0)};
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
const { add, store } = Atomics;
const FIRST = headerLength(0);
let hiring: Workers | undefined;
/** For each pool's header whose workers these are. */
const pools = new WeakMap<ArrayBufferLike, Workers>();

/** Workers under a test's control, in this process. */
export class Workers {
  readonly list: NodeWorker[] = [];
  readonly #control = new Int32Array(new SharedArrayBuffer(16));
  /** Whether the caller, too, waits in `step` until a worker has arrived. */
  #escorted = false;

  /** Makes an optimizer whose workers these are. @param starts false: the workers wait for `start` */
  hire<T>(make: () => T, starts = true): T {
    if (!starts) Atomics.store(this.#control, GATE, 1);
    hiring = this;
    threads.Worker = Hired;
    Atomics.add = escort;
    Atomics.store = delay;
    try {
      return make();
    } finally {
      hiring = undefined;
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

class Hired extends Original {
  constructor(script: string | URL, options: WorkerOptions = {}) {
    super(...hiring!.launch(String(script), options));
    hiring!.list.push(this);
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

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a script of the package's user prints, in a Node of its own. Rejects unless it ends by itself, in time and well. */
export async function child(script: string, flags: readonly string[] = [], timeout = 30_000): Promise<string> {
  const args = [...flags, "--input-type=module", "--eval", script];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: root, timeout, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim() + stderr.trim());
      else
        reject(new Error(`${error.killed ? `killed after ${timeout} ms: ` : ""}${error.message}\n${stdout}${stderr}`));
    });
  });
}
