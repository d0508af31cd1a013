import { AdamW, preload } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { cosine } from "fused-adam/schedules";
import { train } from "./train.mjs";

const api = { AdamW, cosine, encodeCheckpoint, loadCheckpoint, preload };
console.log(JSON.stringify({ step: await train(api, "step"), stepAsync: await train(api, "stepAsync") }));
