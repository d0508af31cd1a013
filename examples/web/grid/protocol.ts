import type { Evaluation } from "../../decoupling/network.js";
import type { Choice } from "../../decoupling/training.js";

/** What the page asks of a worker, which has one run at a time. */
export type Request =
  /** First of all: `kernel` is the address of assembly/network.ts, compiled. */
  | { readonly type: "open"; readonly kernel: string }
  | { readonly type: "run"; readonly choice: Choice }
  /** Takes effect within a few hundred steps. */
  | { readonly type: "pause" }
  | { readonly type: "continue" };

/** How a run does on the examples held out, after so many steps. */
export interface Point extends Evaluation {
  readonly step: number;
}

export type Report =
  | { readonly type: "ready" }
  /** The last one is the one with all steps done. */
  | { readonly type: "point"; readonly choice: Choice; readonly point: Point }
  | { readonly type: "failed"; readonly message: string };
