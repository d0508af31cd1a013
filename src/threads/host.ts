/** How to get Node's own modules. */
export type Load = typeof process.getBuiltinModule;

let node: Load | undefined = globalThis.process?.getBuiltinModule;

/** Node's modules, or undefined where there are none: then workers are the web's. */
export function nodeModules(): Load | undefined {
  return node;
}

/** For a host that has Node's modules, but no way to ask for them. */
export function provide(load: Load): void {
  node ??= load;
}

/** How many threads run at once on this machine, as far as the host tells. */
export function parallelism(): number {
  return globalThis.navigator?.hardwareConcurrency ?? node?.("node:os").availableParallelism() ?? 1;
}

/** Why this host cannot share memory with workers; undefined where it can. */
export function whyAlone(): string | undefined {
  if (typeof SharedArrayBuffer !== "function" || globalThis.crossOriginIsolated === false) {
    return "no shared memory here: a page needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";
  }
  if (typeof Atomics !== "object") return "no Atomics here";
  if (typeof WebAssembly !== "object") return "no WebAssembly here";
  if (node === undefined && typeof Worker !== "function") return "no workers here";
  return undefined;
}

/** Whether this thread may block. A browser's main thread may not. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
