import type { AdamOptions } from "fused-adam";

/** How moments and gradients lie in memory: the options, and what the examples call them. */
export const WIDTHS = {
  float32: { moments: "float32", grads: "float32" },
  "bfloat16 moments": { moments: "bfloat16", grads: "float32" },
  "bfloat16 moments and gradients": { moments: "bfloat16", grads: "bfloat16" },
  "bfloat16 moments, float16 gradients": { moments: "bfloat16", grads: "float16" },
  "bfloat16 gradients": { moments: "float32", grads: "bfloat16" },
  "float16 gradients": { moments: "float32", grads: "float16" },
} as const satisfies Record<string, Formats>;

export type Formats = Pick<AdamOptions, "moments" | "grads">;
export type Width = keyof typeof WIDTHS;

/** The name of what an optimizer has taken. */
export function widthOf({ moments = "float32", grads = "float32" }: Formats): Width {
  const names = Object.keys(WIDTHS) as Width[];
  return names.find((name) => WIDTHS[name].moments === moments && WIDTHS[name].grads === grads)!;
}

/** How far one curve is from another. */
export interface Difference {
  /** Of the absolute differences. */
  readonly mean: number;
  readonly largest: number;
  /** Where it is the largest, from 1 on. */
  readonly step: number;
}

/** @param losses of at least one step; `others` has as many */
export function differenceOf(losses: readonly number[], others: readonly number[]): Difference {
  const apart = losses.map((loss, i) => Math.abs(loss - others[i]!));
  const largest = apart.reduce((a, b) => Math.max(a, b));
  return { mean: apart.reduce((a, b) => a + b) / apart.length, largest, step: apart.indexOf(largest) + 1 };
}
