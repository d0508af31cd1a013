import { byId, element, showTable } from "./dom.js";
import { count, short } from "./format.js";
import type { SpeedReport, SpeedRequest, SpeedRow } from "./speedProtocol.js";

/** Compares in a worker of its own, which ends with the comparison. */
export function compareSpeed(request: SpeedRequest, onProgress: (what: string) => void) {
  return new Promise<Extract<SpeedReport, { type: "done" }>>((resolve, reject) => {
    const worker = new Worker(new URL("./speedWorker.ts", import.meta.url), { type: "module" });
    const end = (settle: () => void) => {
      worker.terminate();
      settle();
    };
    worker.addEventListener("message", ({ data }: MessageEvent<SpeedReport>) => {
      if (data.type === "doing") onProgress(data.what);
      else if (data.type === "done") end(() => resolve(data));
      else end(() => reject(new Error(data.message)));
    });
    worker.addEventListener("error", ({ message }) =>
      end(() => reject(new Error(message || "the script of its worker could not be loaded"))),
    );
    worker.postMessage(request);
  });
}

export function showSpeed(rows: readonly SpeedRow[], length: number): void {
  const fastest = Math.max(...rows.map(({ stepsPerSecond }) => stepsPerSecond));
  const bar = (share: number) => {
    const made = element("span", { className: "bar", "aria-hidden": "true" });
    made.style.setProperty("--share", String(share));
    return made;
  };
  const cells = rows.map(({ name, stepsPerSecond, difference }, i) => [
    name,
    element(
      "span",
      { className: "measure" },
      bar(stepsPerSecond / fastest),
      count(Number(stepsPerSecond.toPrecision(3))),
    ),
    short(1e9 / stepsPerSecond / length, 2),
    i === 0 ? "–" : difference === 0 ? "none" : difference.toExponential(0),
  ]);
  const caption = `Steps per second over ${count(length)} parameters`;
  showTable(
    byId("speed-table"),
    caption,
    ["optimizer", "steps per second", "ns per parameter", "difference after 8 steps"],
    cells,
  );
}
