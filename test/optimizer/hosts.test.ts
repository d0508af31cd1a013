/** Hosts that lack what is only nice to have: the package can be imported there, and steps have the same bits. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { fileUnless, notBuilt, ranInVitest } from "../support/host.js";
import { root } from "../support/root.js";

fileUnless(notBuilt, ranInVitest("takes globals from Node's processes"));

/** What is taken away before the import, and where that is found missing. */
const HOSTS: Record<string, readonly string[]> = {
  "Cloudflare's workerd": ["FinalizationRegistry", "WeakRef"],
  "an AudioWorklet": ["TextDecoder", "TextEncoder", "performance", "URL", "Blob", "Worker", "setTimeout"],
  "jest with jsdom": ["TextDecoder", "TextEncoder"],
  "an engine without shared memory": ["Atomics", "SharedArrayBuffer"],
  "an engine without Atomics": ["Atomics"],
};

const run = promisify(execFile);

async function print(missing: readonly string[]): Promise<string> {
  const script = `
    const { setImmediate: turn } = globalThis;
    const warnings = [];
    console.warn = (text) => warnings.push(text);
    for (const name of ${JSON.stringify(missing)}) {
      delete globalThis[name];
      if (name in globalThis) throw new Error(name + " is still there");
    }
    const { Adam, AdamW } = await import("fused-adam");
    for (const Class of [Adam, AdamW]) {
      const values = Float32Array.from({ length: 70001 }, (_, i) => Math.sin(i));
      const optimizer = Class.createSync({ w: values, v: { shape: [3] } }, { weightDecay: 0.5, threads: 1 });
      optimizer.setGrad("w", values.map((x) => 1 - x));
      optimizer.step({ clipNorm: 1 });
      await optimizer.stepAsync();
      optimizer.loadStateDict(optimizer.stateDict());
      let hash = 0x811c9dc5;
      for (const word of new Uint32Array(optimizer.param("w").slice().buffer)) hash = Math.imul(hash ^ word, 0x01000193) >>> 0;
      optimizer.dispose();
      console.log(Class.name, optimizer.kernel, hash, warnings.length);
    }
    process.exit(0);`;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  return (await run(process.execPath, args, { cwd: root, timeout: 120_000 })).stdout;
}

describe("imports and steps", () => {
  it.concurrent.each(Object.entries(HOSTS))("as in %s", async (_, missing) => {
    const plain = await print([]);
    expect(plain).toMatch(/^Adam simd \d+ 0\nAdamW simd \d+ 0\n$/);
    expect(await print(missing)).toBe(plain);
  });
});
