/** Which backends of TensorFlow.js take part. */
export const BACKENDS = { cpus: ["wasm", "cpu"], webgl: ["webgl"], webgpu: ["webgpu"] } as const;
export type BackendChoice = keyof typeof BACKENDS;

export interface SpeedRequest {
  readonly backends: BackendChoice;
  /** Parameters to update. */
  readonly length: number;
  readonly threads: number;
}

export interface SpeedRow {
  readonly name: string;
  /** Median of the rounds. */
  readonly stepsPerSecond: number;
  /** Largest difference of a parameter from the first row's, after the same steps from the same start. */
  readonly difference: number;
}

export type SpeedReport =
  | { readonly type: "doing"; readonly what: string }
  /** `missing`: contenders that did not run, and why. */
  | { readonly type: "done"; readonly rows: readonly SpeedRow[]; readonly missing: readonly string[] }
  | { readonly type: "failed"; readonly message: string };
