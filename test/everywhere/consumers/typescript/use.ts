import { AdamW, type Optimizer } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { cosine } from "fused-adam/schedules";

const optimizer: Optimizer = AdamW.createSync({ w: new Float32Array(3) }, { lr: cosine({ lr: 0.1, steps: 10 }) });
const bytes: Uint8Array = encodeCheckpoint(optimizer);
export const sizes: number[] = [optimizer.memory.buffer.byteLength, bytes.length];
// Which TypeScript lets no array be that may be shared.
export const blob = new Blob([encodeCheckpoint(optimizer)]);

// @ts-expect-error: types that could not be read would let this pass
AdamW.createSync({ w: new Float32Array(3) }, { lr: "0.1" });
// @ts-expect-error: made by `create` and `createSync` alone
new AdamW();
