import { WORKER } from "../generated/worker.js";
import { type Load, nodeModules } from "./host.js";
import { STARTED } from "./protocol.js";

/** What a worker is given when it starts. */
export interface Assignment {
  /** The shared memory that the model lies in. */
  readonly memory: WebAssembly.Memory;
  /** The control words and the program that all threads share. */
  readonly shared: SharedArrayBuffer;
  readonly threads: number;
  /** Which of the threads the worker is. */
  readonly me: number;
  /** How many calls the program has room for. */
  readonly room: number;
  /** A module for shared memory, or its bytes; none: TypeScript's kernels. */
  readonly module: Uint8Array<ArrayBuffer> | WebAssembly.Module | undefined;
}

/** What is called when something happens to a worker. */
export interface Handlers {
  /** It waits for jobs. */
  started(): void;
  /** It has left a job; only where the control words ask for such messages. */
  left(): void;
  /** It could not start, or threw. */
  failed(reason: string, cause: unknown): void;
  /** It has ended. */
  ended(reason: string): void;
}

/** Ends a worker. Resolves once it cannot write any more, as far as the host tells. */
export type Terminate = () => unknown;

/** Starts a worker that never keeps a process alive. @throws what the host throws where it refuses */
export function spawn(assignment: Assignment, handlers: Handlers, script = WORKER): Terminate {
  const node = nodeModules();
  return node === undefined
    ? spawnOnWeb(assignment, handlers, script)
    : spawnInNode(node, assignment, handlers, script);
}

function spawnInNode(load: Load, assignment: Assignment, handlers: Handlers, script: string): Terminate {
  const { Worker } = load("node:worker_threads");
  // Without the process's flags and variables: its --import and --loader are not for this script.
  const worker = new Worker(script, { eval: true, workerData: assignment, execArgv: [], env: {} });
  worker.on("error", (error) => handlers.failed(`a worker that threw ${String(error)}`, error));
  worker.on("exit", (code) => handlers.ended(`a worker that ended with code ${code}`));
  worker.on("message", (message) => receive(message, handlers));
  worker.unref();
  return () => worker.terminate();
}

/** Under Trusted Types a page lists the policies that may say what is run. This is the name of the package's. */
const POLICY = "fused-adam";
const REMEDY = `(a content security policy needs worker-src blob:, and under Trusted Types: trusted-types ${POLICY})`;

interface TrustedTypePolicyFactory {
  createPolicy(
    name: string,
    rules: { createScriptURL(): string },
  ): {
    createScriptURL(input: string): unknown;
  };
}

/** Of the scripts that there have been. */
const urls = new Map<string, string>();

function createOnWeb(script: string): Worker {
  const url = urls.get(script) ?? trusted(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  urls.set(script, url);
  try {
    return new Worker(url, { name: "fused-adam" });
  } catch (cause) {
    // WebKit, for a policy, and all under Trusted Types; otherwise browsers send the worker an event.
    throw new Error(`${String(cause)} ${REMEDY}`, { cause });
  }
}

/** The URL as `new Worker` takes it under Trusted Types, too: made by a policy that knows no other. */
function trusted(script: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypePolicyFactory };
  try {
    const policy = trustedTypes?.createPolicy(POLICY, { createScriptURL: () => script });
    return (policy?.createScriptURL(script) as string | undefined) ?? script;
  } catch {
    // The page does not list the policy. It may not ask for one either, or have a default one: `new Worker` will tell.
    return script;
  }
}

function spawnOnWeb(assignment: Assignment, handlers: Handlers, script: string): Terminate {
  const worker = createOnWeb(script);
  worker.onerror = (event) => {
    // The event of a worker that could not be loaded has no message.
    const reason = event.message ?? `could not be loaded ${REMEDY}`;
    handlers.failed(`a worker that failed: ${reason}`, event.error);
    event.preventDefault();
  };
  worker.onmessage = ({ data }) => receive(data, handlers);
  try {
    worker.postMessage(assignment);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return () => worker.terminate();
}

function receive(message: unknown, handlers: Handlers): void {
  if (message === STARTED) handlers.started();
  else handlers.left();
}
