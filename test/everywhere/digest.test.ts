/** 10,000 steps leave the same bits in every engine, on every thread and any number of them, SIMD or TypeScript. */
import { describe, expect, it } from "vitest";
import { HOST } from "./host.js";
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

describe.each(modes)("%s: SHA-256 of norms, parameters and moments after 10,000 steps", (mode) => {
  for (const { kernel, threads, how } of WAYS) {
    const isAlone = threads > 1 && (!canShare || (how === "step" && !mayBlock));
    const isKnown = threads === 1 && canShare && !isWhole;
    it.skipIf((kernel === "simd" && !HOST.wasm) || isAlone || isKnown)(
      `${kernel}, ${threads} threads, ${how}`,
      async () => {
        expect(await digestOf(await longRun(mode, { kernel, threads }, how))).toBe(DIGESTS[mode]);
      },
    );
  }
});
