import { train } from "./train.js";

/** What the worker says: a loss, or at the end the result. */
export type Message = { step: number; loss: number } | { threads: number; heldOut: number };

// On the page's thread a step would block the page, or run on one thread; here it may wait for the optimizer's own workers.
addEventListener("message", async ({ data }: MessageEvent<{ threads: number }>) => {
  const post = (message: Message) => postMessage(message);
  const { threads, heldOut } = await train(data.threads, (step, loss) => post({ step, loss }));
  post({ threads, heldOut });
});
