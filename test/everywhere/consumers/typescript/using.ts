import { AdamW } from "fused-adam";

using optimizer = AdamW.createSync({ w: new Float32Array(3) });
export const disposable: Disposable = optimizer;
