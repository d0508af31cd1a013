import type { AdamW } from "fused-adam";

export function trained(steps: number): AdamW;
