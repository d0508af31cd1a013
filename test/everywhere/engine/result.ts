/** What a run of one test file says about itself. */
export interface FileResult {
  readonly tests: readonly TestResult[];
  /** Why the file as a whole could not run here; undefined if it did. */
  readonly skipped?: string | undefined;
  /** What went wrong outside of any test. */
  readonly error?: string | undefined;
}

export interface TestResult {
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped";
  /** The error, or why it was skipped. */
  readonly note?: string | undefined;
  readonly milliseconds: number;
}

/** What the test files are told about where they run. */
export interface Host {
  readonly engine: string;
  readonly thread: "main" | "worker";
  /** Whether the page is cross-origin isolated; outside of browsers shared memory needs no isolation. */
  readonly isolated: boolean;
  /** Whether the host lets WebAssembly be compiled. */
  readonly wasm: boolean;
  /** simd.wasm and half-simd.wasm, compiled by a host that lets nobody else compile. */
  readonly modules?: Readonly<Record<"simd" | "half", WebAssembly.Module>>;
  /** Whether the host lets workers be made from Blob URLs. */
  readonly blobWorkers: boolean;
  /** Whether what takes long and ran in a sibling is left out. */
  readonly brief?: boolean;
}
