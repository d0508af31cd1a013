export { AdamW, preload } from "fused-adam";
export { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
export { cosine } from "fused-adam/schedules";
