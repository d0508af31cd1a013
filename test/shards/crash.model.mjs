// Two ranks that own rows of one matrix, and a vector that one of them has alone.
import { AdamW } from "fused-adam";
import { train } from "../files/crash.model.mjs";

export function trainedRanks(steps) {
  return [0, 1].map((rank) => {
    const rows = [
      [0, 30],
      [30, 50],
    ][rank];
    const optimizer = AdamW.createSync({
      w: { shape: [50, 9], rows },
      b: { shape: [5], rows: rank === 0 ? [0, 0] : [0, 5] },
    });
    return train(optimizer, steps);
  });
}
