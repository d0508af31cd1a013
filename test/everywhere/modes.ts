/** The ways a host can be: a page's headers and thread, or a runtime's thread, and what each lets scripts do. */
import type { Host } from "./engine/result.js";

export interface Mode extends Omit<Host, "engine"> {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Only these files; undefined: all. */
  readonly files?: RegExp;
}

// The rest ran on the engine's main thread: what can go otherwise in a worker, under other headers, or without WebAssembly …
const ABOUT_PAGES =
  /everywhere\/(digest|host)\.|threads\/(bits|chunks|relaxed)\.|fallback|^test\/torch\.|checkpoint\/(resume|safetensors)\./;
// … in a runtime's worker, without what starts processes of its own …
const ABOUT_THREADS = new RegExp(`${ABOUT_PAGES.source}|threads/(dispose|foreign|growth)\\.`);
// … where nothing but the workers is missing, or all has been run already.
const ABOUT_WORKERS = /everywhere\/(digest|host)\./;

const OPEN = { isolated: true, wasm: true, blobWorkers: true, headers: {} };
const MAIN = { ...OPEN, thread: "main" } as const;
const WORKER = { ...OPEN, thread: "worker" } as const;

export const RUNTIME_MODES: readonly Mode[] = [
  { ...MAIN, name: "main" },
  { ...WORKER, name: "worker", files: ABOUT_THREADS },
];

/** Of the runtime that vitest has run all in. */
export const VITEST_MODES: readonly Mode[] = [
  { ...MAIN, name: "main", files: ABOUT_WORKERS },
  { ...WORKER, name: "worker", files: ABOUT_THREADS },
];

const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const policy = (...directives: string[]) => ({
  ...ISOLATION,
  "content-security-policy": ["default-src 'self'", ...directives].join("; "),
});
const COMPILE = "script-src 'self' 'wasm-unsafe-eval'";
const BLOBS = "worker-src 'self' blob:";

export const PAGE_MODES: readonly Mode[] = [
  { ...MAIN, name: "main", headers: ISOLATION },
  { ...WORKER, name: "worker", headers: ISOLATION, files: ABOUT_PAGES },
  { ...MAIN, name: "main, not isolated", isolated: false, files: ABOUT_PAGES },
  { ...WORKER, name: "worker, not isolated", isolated: false, files: ABOUT_PAGES },
  { ...MAIN, name: "main, CSP allows WebAssembly", headers: policy(COMPILE, BLOBS), files: ABOUT_PAGES },
  { ...MAIN, name: "main, CSP forbids WebAssembly", wasm: false, headers: policy(BLOBS), files: ABOUT_PAGES },
  { ...WORKER, name: "worker, CSP forbids WebAssembly", wasm: false, headers: policy(BLOBS), files: ABOUT_PAGES },
  ...[MAIN, WORKER].map((page) => ({
    ...page,
    name: `${page.thread}, CSP forbids Blob workers`,
    blobWorkers: false,
    headers: policy(COMPILE),
    files: ABOUT_WORKERS,
  })),
];
