/** 10,000 steps leave the same bits in every engine, on every thread and any number of them, SIMD or TypeScript. */
import { describe, expect, it } from "vitest";
import { HOST } from "./host.js";
import { DIGESTS, digestOf, longRun, MODES } from "./longRun.js";

const modes = Object.keys(MODES) as (keyof typeof MODES)[];
/** A page's main thread must not block: there only `stepAsync` uses threads. */
const WAYS = [
  { kernel: "simd", threads: 1, how: "step" },
  { kernel: "simd", threads: 2, how: "step" },
  { kernel: "simd", threads: 2, how: "stepAsync" },
  { kernel: "scalar", threads: 1, how: "step" },
  { kernel: "scalar", threads: 2, how: "stepAsync" },
] as const;

describe.each(modes)("%s: SHA-256 of norms, parameters and moments after 10,000 steps", (mode) => {
  for (const { kernel, threads, how } of WAYS) {
    const misses = (kernel === "simd" && !HOST.wasm) || (threads > 1 && !HOST.blobWorkers);
    it.skipIf(misses)(`${kernel}, ${threads} threads, ${how}`, async () => {
      expect(await digestOf(await longRun(mode, { kernel, threads }, how))).toBe(DIGESTS[mode]);
    });
  }
});
