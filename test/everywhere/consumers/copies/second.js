export { AdamW, preload } from "fused-adam-copy";
export { encodeCheckpoint, loadCheckpoint } from "fused-adam-copy/checkpoint";
export { cosine } from "fused-adam-copy/schedules";
