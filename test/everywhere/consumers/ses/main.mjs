import "ses";
import { train } from "./train.mjs";

lockdown();
const api = {
  ...(await import("fused-adam")),
  ...(await import("fused-adam/checkpoint")),
  ...(await import("fused-adam/schedules")),
};
console.log(JSON.stringify({ step: await train(api, "step"), stepAsync: await train(api, "stepAsync") }));
