import { WORKER } from "../generated/worker.js";

/** What a worker is given when it starts. */
export interface Assignment {
  /** The shared memory that the model lies in. */
  readonly memory: WebAssembly.Memory;
  /** The header and the program that all threads share. */
  readonly shared: SharedArrayBuffer;
  readonly threads: number;
  /** Which of the threads the worker is. */
  readonly me: number;
  /** How many calls the program has room for. */
  readonly room: number;
  /** Bytes of a module for shared memory; none: TypeScript's kernels. */
  readonly module: Uint8Array<ArrayBuffer> | undefined;
}

/** What its host hears of a worker. */
export interface Ears {
  /** It has ended, whatever the reason: it will not work again. */
  ended(reason: string, cause?: unknown): void;
  /** It has left a job; only where the header asks for such messages. */
  left(): void;
}

/** Ends a worker; resolves once it cannot write any more, as far as the host tells. */
export type Fire = () => unknown;

const node: typeof process.getBuiltinModule | undefined = globalThis.process?.getBuiltinModule;

/** How many threads run at once on this machine, as far as the host tells. */
export function parallelism(): number {
  return globalThis.navigator?.hardwareConcurrency ?? node?.("node:os").availableParallelism() ?? 1;
}

/** Why this host cannot share memory with workers; undefined where it can. */
export function whyAlone(): string | undefined {
  if (typeof SharedArrayBuffer !== "function" || globalThis.crossOriginIsolated === false) {
    return "no shared memory here: a page needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";
  }
  if (typeof WebAssembly !== "object") return "no WebAssembly here";
  if (node === undefined && typeof Worker !== "function") return "no workers here";
  return undefined;
}

/** Starts a worker. It never keeps a process alive. */
export function hire(assignment: Assignment, ears: Ears): Fire {
  return node === undefined ? hireOnWeb(assignment, ears) : hireInNode(node, assignment, ears);
}

function hireInNode(load: NonNullable<typeof node>, assignment: Assignment, ears: Ears): Fire {
  const { Worker } = load("node:worker_threads");
  // Not the flags and variables of the process: the worker's script needs no loader, and could not be run as a module.
  const worker = new Worker(WORKER, { eval: true, workerData: assignment, execArgv: [], env: {} });
  worker.on("error", (error) => ears.ended(`one that threw ${String(error)}`, error));
  worker.on("exit", (code) => ears.ended(`one that ended with code ${code}`));
  worker.on("message", () => ears.left());
  worker.unref();
  return () => worker.terminate();
}

let url: string | undefined;

function hireOnWeb(assignment: Assignment, ears: Ears): Fire {
  url ??= URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
  const worker = new Worker(url, { name: "fused-adam" });
  worker.onerror = (event) => {
    // A worker that could not be loaded has an event without a message.
    const reason = event.message ?? "could not be loaded (a content security policy needs worker-src blob:)";
    ears.ended(`one that failed: ${reason}`, event.error);
    event.preventDefault();
  };
  worker.onmessage = () => ears.left();
  try {
    worker.postMessage(assignment);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return () => worker.terminate();
}
