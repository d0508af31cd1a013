export { AdamW, cosine, encodeCheckpoint, loadCheckpoint, preload } from "./fused-adam.mjs";
