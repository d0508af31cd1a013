/** Long runs leave the same bits in every engine, on every thread and any number of them, SIMD or TypeScript. */
import { describe, expect, it } from "vitest";
import { HOST } from "../support/host.js";
import { DIGESTS } from "./digests.js";
import { CASES, longRun } from "./longRun.js";

const WAYS = [
  { kernel: "simd", threads: 1, how: "step" },
  { kernel: "simd", threads: 2, how: "step" },
  { kernel: "simd", threads: 2, how: "stepAsync" },
  { kernel: "scalar", threads: 1, how: "step" },
  { kernel: "scalar", threads: 2, how: "stepAsync" },
] as const;

/** A page's main thread must not block: there `step` runs alone, on any number of threads. */
const mayBlock = HOST.thread === "worker" || typeof document === "undefined";
const canShare = HOST.isolated && HOST.blobWorkers;
/** On the engine's main thread, with all it has, every way; elsewhere each kernel once, on threads if there are any. */
const isWhole = HOST.thread === "main" && canShare && HOST.wasm;

function whyNot({ kernel, threads, how }: (typeof WAYS)[number]): string | undefined {
  if (kernel === "simd" && !HOST.wasm && HOST.modules === undefined) return "needs compiling WebAssembly";
  if (threads === 1) return canShare && !isWhole ? "on 1 thread it ran on the engine's main thread" : undefined;
  if (!canShare) return "needs threads";
  return how === "step" && !mayBlock ? "steps on a page's main thread use no threads" : undefined;
}

describe.each(CASES)("%s, %s: SHA-256 of norms, parameters, moments and copies after %i steps", (run, mode) => {
  for (const way of WAYS) {
    const { kernel, threads, how } = way;
    it(`${kernel}, ${threads} threads, ${how}`, async ({ skip }) => {
      const why = whyNot(way);
      if (why !== undefined) skip(why);
      const module = kernel === "simd" ? HOST.modules?.[run === "halves" ? "half" : "simd"] : undefined;
      const { digests } = await longRun(run, mode, { kernel, threads, module }, how);
      expect(digests).toEqual(DIGESTS[run][mode]);
    });
  }
});
