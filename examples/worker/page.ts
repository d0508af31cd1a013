import type { Message } from "./worker.js";

const log = document.querySelector("pre")!;
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
worker.onerror = ({ message }) => log.append(`failed: ${message}\n`);
worker.onmessage = ({ data }: MessageEvent<Message>) => {
  if ("step" in data) log.append(`step ${data.step}: loss ${data.loss.toFixed(4)}\n`);
  else log.append(`held out: ${100 * data.heldOut} % right, ${data.threads} threads\n`);
};
worker.postMessage({ threads: crossOriginIsolated ? 2 : 1 });
