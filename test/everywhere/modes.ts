/** The ways a host can be: a page's headers and thread, or a runtime's thread, and what each lets scripts do. */
import type { Host } from "./engine/result.js";

export interface Mode extends Omit<Host, "engine"> {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Only the files whose paths start so; undefined: all. */
  readonly files?: readonly string[];
}

// The rest ran on the engine's main thread. What can go otherwise where only workers or headers are others …
const ABOUT_WORKERS = ["test/everywhere/digest.", "test/everywhere/host."];
const ABOUT_HEADERS = [...ABOUT_WORKERS, "test/kernels/fallback."];
// … where nothing is shared or compiled …
const ABOUT_PAGES = [
  ...ABOUT_HEADERS,
  ...["test/optimizer/torch.", "test/checkpoint/resume.", "test/checkpoint/safetensors."],
];
// … and in a worker that starts workers: a page's, a runtime's.
const IN_PAGE_WORKERS = [...ABOUT_PAGES, "test/threads/bits.", "test/threads/relaxed."];
const IN_RUNTIME_WORKERS = [...ABOUT_HEADERS, "test/threads/growth.", "test/threads/relaxed."];

const OPEN = { isolated: true, wasm: true, blobWorkers: true, headers: {} };
const MAIN = { ...OPEN, thread: "main" } as const;
const WORKER = { ...OPEN, thread: "worker" } as const;

export const RUNTIME_MODES: readonly Mode[] = [
  { ...MAIN, name: "main" },
  { ...WORKER, name: "worker", files: IN_RUNTIME_WORKERS },
];

/** Of the runtime that vitest has run all in. */
export const VITEST_MODES: readonly Mode[] = [
  { ...MAIN, name: "main", files: ABOUT_WORKERS },
  { ...WORKER, name: "worker", files: IN_RUNTIME_WORKERS },
];

const NUMERIC = ["determinism.", "float64.", "random.", "subnormals.", "torch."].map(
  (name) => `test/optimizer/${name}`,
);

/**
 * What another processor can do otherwise; the rest is the same V8. Not "determinism": it makes so many memories that the emulator,
 * which keeps a table of all address space that V8 reserves, can take more than 20 GB.
 */
const ON_ARM = NUMERIC.filter((name) => !name.includes("determinism"));
export const ARM_MODES: readonly Mode[] = [
  { ...MAIN, name: "main", files: [...ABOUT_WORKERS, "test/kernels/", ...ON_ARM, "test/schedules/"] },
];

const STATE = ["lifecycle.", "relocate.", "state.", "stateErrors.", "step."].map((name) => `test/optimizer/${name}`);

/** It compiles nothing and has no workers, and its modules of Node's names are mostly empty. */
export const WORKERD_MODES: readonly Mode[] = [
  {
    ...MAIN,
    name: "main",
    wasm: false,
    blobWorkers: false,
    files: [
      ...ABOUT_WORKERS,
      "test/kernels/",
      "test/memory/",
      ...NUMERIC,
      ...STATE,
      "test/checkpoint/",
      "test/schedules/",
    ],
  },
];

const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const policy = (...directives: string[]) => ({
  ...ISOLATION,
  "content-security-policy": ["default-src 'self'", ...directives].join("; "),
});
const COMPILE = "script-src 'self' 'wasm-unsafe-eval'";
const BLOBS = "worker-src 'self' blob:";
const TRUSTED = "require-trusted-types-for 'script'";

export const PAGE_MODES: readonly Mode[] = [
  { ...MAIN, name: "main", headers: ISOLATION },
  { ...WORKER, name: "worker", headers: ISOLATION, files: IN_PAGE_WORKERS },
  { ...MAIN, name: "main, not isolated", isolated: false, files: ABOUT_PAGES },
  { ...WORKER, name: "worker, not isolated", isolated: false, files: ABOUT_HEADERS },
  { ...MAIN, name: "main, CSP allows WebAssembly", headers: policy(COMPILE, BLOBS), files: ABOUT_HEADERS },
  { ...MAIN, name: "main, CSP forbids WebAssembly", wasm: false, headers: policy(BLOBS), files: ABOUT_PAGES },
  { ...WORKER, name: "worker, CSP forbids WebAssembly", wasm: false, headers: policy(BLOBS), files: ABOUT_HEADERS },
  ...[MAIN, WORKER].map((page) => ({
    ...page,
    name: `${page.thread}, CSP forbids Blob workers`,
    blobWorkers: false,
    headers: policy(COMPILE),
    files: ABOUT_WORKERS,
  })),
  {
    ...MAIN,
    name: "main, Trusted Types",
    headers: policy(COMPILE, BLOBS, TRUSTED, "trusted-types fused-adam test"),
    files: ABOUT_WORKERS,
  },
  {
    ...MAIN,
    name: "main, Trusted Types forbid the package's policy",
    blobWorkers: false,
    headers: policy(COMPILE, BLOBS, TRUSTED, "trusted-types other"),
    files: ABOUT_WORKERS,
  },
];
