import type { AdamW } from "fused-adam";

export function trainedRanks(steps: number): AdamW[];
