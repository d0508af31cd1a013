/** 10,000 steps leave the same bits in every engine, on every thread and any number of them, SIMD or TypeScript. */
import { describe, expect, it } from "vitest";
import { HOST } from "../support/host.js";
import { HALF_DIGEST, halfRun } from "./halfRun.js";
import { DIGESTS, digestOf, longRun, MODES } from "./longRun.js";

const modes = Object.keys(MODES) as (keyof typeof MODES)[];
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
  if (kernel === "simd" && !HOST.wasm && HOST.module === undefined) return "needs compiling WebAssembly";
  if (threads === 1) return canShare && !isWhole ? "on 1 thread it ran on the engine's main thread" : undefined;
  if (!canShare) return "needs threads";
  return how === "step" && !mayBlock ? "steps on a page's main thread use no threads" : undefined;
}

describe.each(modes)("%s: SHA-256 of norms, parameters and moments after 10,000 steps", (mode) => {
  for (const way of WAYS) {
    const { kernel, threads, how } = way;
    it(`${kernel}, ${threads} threads, ${how}`, async ({ skip }) => {
      const why = whyNot(way);
      if (why !== undefined) skip(why);
      const module = kernel === "simd" ? HOST.module : undefined;
      expect(await digestOf(await longRun(mode, { kernel, threads, module }, how))).toBe(DIGESTS[mode]);
    });
  }
});

describe("numbers of 16 bits: SHA-256 of parameters, moments and copies after 100 steps", () => {
  for (const way of WAYS) {
    const { kernel, threads, how } = way;
    it(`${kernel}, ${threads} threads, ${how}`, async ({ skip }) => {
      const why = whyNot(way) ?? (kernel === "simd" && HOST.module !== undefined && "has a module for float32 alone");
      if (why) skip(why);
      expect(await digestOf(await halfRun({ kernel, threads }, how))).toBe(HALF_DIGEST);
    });
  }
});
