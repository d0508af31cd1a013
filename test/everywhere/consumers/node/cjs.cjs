const { AdamW, preload } = require("fused-adam");
const { encodeCheckpoint, loadCheckpoint } = require("fused-adam/checkpoint");
const { cosine } = require("fused-adam/schedules");

const api = { AdamW, cosine, encodeCheckpoint, loadCheckpoint, preload };
import("./train.mjs").then(async ({ train }) => {
  console.log(JSON.stringify({ step: await train(api, "step"), stepAsync: await train(api, "stepAsync") }));
});
