import type { Evaluation } from "../shared/run.js";
import type { Width } from "../shared/width.js";
import type { DecayPictures } from "./decayMeter.js";
import type { Change, NumberKey, Settings } from "./settings.js";

/** The runs, always in this order. The last one is without decay. A run of another width than float32 comes after them. */
export const LABELS = ["AdamW", "Adam + L2", "Adam"] as const;

/** What the page asks of the worker that trains. Requests are done one after the other. */
export type Request =
  | { readonly type: "open"; readonly digits: string; readonly settings: Settings }
  | { readonly type: "train" | "pause" | "restart" | "save" | "load" }
  | { readonly type: "set"; readonly key: NumberKey; readonly value: number }
  | { readonly type: "width"; readonly width: Width };

export type State = "idle" | "loading" | "running" | "paused" | "finished";

export interface SavedRun {
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly bytes: number;
}

/** What the worker says. */
export type Report =
  /** `storage` says why nothing can be saved here. */
  | { readonly type: "opened"; readonly saved?: SavedRun | undefined; readonly storage?: string | undefined }
  | {
      readonly type: "state";
      readonly state: State;
      readonly step: number;
      readonly steps: number;
      readonly stepsPerEpoch: number;
      readonly engine: { readonly kernel: string; readonly threads: number };
    }
  /** Losses from step `from` on, one array per run; they replace what was sent for these steps before. Other runs than before: from 0. */
  | {
      readonly type: "curves";
      readonly from: number;
      readonly labels: readonly string[];
      readonly losses: readonly (readonly number[])[];
      readonly evaluations: readonly (readonly Evaluation[])[];
      readonly changes: readonly Change[];
    }
  | { readonly type: "decay"; readonly pictures: DecayPictures | undefined }
  /** `key`: the setting that was changed; without it any may have changed. */
  | { readonly type: "settings"; readonly settings: Settings; readonly key?: keyof Settings | undefined }
  | { readonly type: "refused"; readonly key: NumberKey; readonly message: string }
  | { readonly type: "saved"; readonly saved: SavedRun }
  /** The request failed; nothing has changed. */
  | { readonly type: "failed"; readonly request: Request["type"]; readonly message: string };
