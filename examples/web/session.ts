import type { Report, Request } from "./protocol.js";

/** A worker that trains, from the page's side. */
export class Session {
  readonly #worker: Worker;

  /** @param onEnd is called with the reason when the worker has failed and was ended */
  constructor(onReport: (report: Report) => void, onEnd: (reason: string) => void) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Report>) => onReport(data));
    const end = (reason: string) => {
      this.#worker.terminate();
      onEnd(reason);
    };
    // A script that could not be loaded leaves no message.
    this.#worker.addEventListener("error", ({ message }) => end(message || "its script could not be loaded"));
    this.#worker.addEventListener("messageerror", () => end("it sent what could not be read"));
  }

  send(request: Request): void {
    this.#worker.postMessage(request);
  }
}
