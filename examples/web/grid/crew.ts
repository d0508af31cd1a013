import type { Choice } from "../../decoupling/training.js";
import type { Point, Report, Request } from "./protocol.js";

/** More would mean more memory than a phone gives to a page. */
const MOST_WORKERS = 8;

/** Workers that share a list of runs, each with one of them at a time. */
export class Crew {
  readonly #workers: Worker[] = [];
  readonly #queue: Choice[] = [];
  readonly #idle = new Set<Worker>();

  /**
   * @param kernel the address of assembly/network.ts, compiled
   * @param onPoint is called with every point of every run
   * @param onEnd is called with the reason when a worker has failed. All are ended then, what was under way is lost.
   */
  constructor(kernel: string, onPoint: (choice: Choice, point: Point) => void, onEnd: (reason: string) => void) {
    const end = (reason: string) => {
      if (this.#workers.length === 0) return;
      this.close();
      onEnd(reason);
    };
    for (let i = 0; i < Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 1); i++) {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
      this.#workers.push(worker);
      worker.addEventListener("message", ({ data }: MessageEvent<Report>) => {
        // Sent before it was ended.
        if (!this.#workers.includes(worker)) return;
        if (data.type === "failed") return end(data.message);
        if (data.type === "point") onPoint(data.choice, data.point);
        if (data.type === "ready" || data.point.step === data.choice.steps) this.#hire(worker);
      });
      // A script that could not be loaded leaves no message.
      worker.addEventListener("error", ({ message }) => end(message || "its script could not be loaded"));
      worker.addEventListener("messageerror", () => end("it sent what could not be read"));
      worker.postMessage({ type: "open", kernel } satisfies Request);
    }
  }

  get size(): number {
    return this.#workers.length;
  }

  /** Adds runs to the list. */
  add(choices: readonly Choice[]): void {
    this.#queue.push(...choices);
    for (const worker of this.#idle) this.#hire(worker);
  }

  /** The runs that are under way stop where they are; `continue` lets them go on. */
  send(type: "pause" | "continue"): void {
    for (const worker of this.#workers) worker.postMessage({ type } satisfies Request);
  }

  /** Ends all workers. */
  close(): void {
    for (const worker of this.#workers.splice(0)) worker.terminate();
  }

  #hire(worker: Worker): void {
    const choice = this.#queue.shift();
    if (choice === undefined) {
      this.#idle.add(worker);
      return;
    }
    this.#idle.delete(worker);
    worker.postMessage({ type: "run", choice } satisfies Request);
  }
}
