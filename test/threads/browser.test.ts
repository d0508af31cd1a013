/** Chromium: workers of a page and of a page's worker, with the isolation that shared memory needs there, and without. */
import { beforeAll, describe, expect, it } from "vitest";
import { noChromium } from "../support/chromium.js";
import { notBuilt, unless } from "../support/host.js";
import { bundle, stage } from "../support/pages.js";
import { ISOLATED, pageOf } from "../support/site.js";
import { child } from "./workers.js";

/**
 * The same script everywhere: 8 steps, four of each kind, and a digest of all bits after each. Counts jobs that workers are woken
 * for, by the call that wakes them, and waiting for a word of a pool. The one word that is waited for to find out if one may
 * is not of a pool.
 */
const RUN = `
  let waits = 0;
  let call;
  const jobs = { step: 0, stepAsync: 0 };
  const { notify, wait } = Atomics;
  Atomics.notify = (...args) => {
    if (call !== undefined) jobs[call]++;
    return notify(...args);
  };
  Atomics.wait = (array, ...rest) => {
    if (array.length > 1) waits++;
    return wait(array, ...rest);
  };
  const warnings = [];
  console.warn = (text) => warnings.push(text);
  const { AdamW } = await import("fused-adam");

  async function run(threads, kernel) {
    const optimizer = AdamW.createSync(
      [{ params: { a: { shape: [70001] } }, amsgrad: true }, { params: { b: { shape: [301, 99] }, c: { shape: [] } } }],
      { threads, kernel, weightDecay: 0.1 },
    );
    let hash = 0x811c9dc5;
    const take = (values) => {
      for (const word of new Uint32Array(values.slice().buffer)) hash = Math.imul(hash ^ word, 0x01000193) >>> 0;
    };
    const digests = [];
    for (let step = 0; step < 8; step++) {
      for (const name of optimizer.names) {
        const grad = optimizer.grad(name);
        for (let i = 0; i < grad.length; i++) grad[i] = ((i * 37 + step * 101) % 251) / 64 - 1.9;
      }
      call = step % 2 ? "step" : "stepAsync";
      const { gradNorm } = await optimizer[call]({ clipNorm: 20, gradScale: 3 });
      call = undefined;
      take(new Float32Array(new Float64Array([gradNorm]).buffer));
      const { state } = optimizer.stateDict();
      for (const name of optimizer.names) {
        take(optimizer.param(name));
        take(state[name].exp_avg);
        take(state[name].exp_avg_sq);
      }
      digests.push(hash);
    }
    const used = optimizer.threads;
    optimizer.dispose();
    return { used, digests };
  }

  async function report(threads) {
    const [simd, scalar] = [await run(threads, "simd"), await run(threads, "scalar")];
    return { threads: [simd.used, scalar.used], simd: simd.digests, scalar: scalar.digests, jobs, waits, warnings };
  }
`;

interface Report {
  threads: number[];
  simd: number[];
  scalar: number[];
  jobs: { step: number; stepAsync: number };
  waits: number;
  warnings: string[];
}

describe("in Chromium", unless(notBuilt, noChromium), () => {
  let alone: Report;
  const site = stage(async () => {
    const scripts: Record<string, string> = {
      "/page.js": await bundle(`${RUN} globalThis.report = report;`),
      "/worker.js": await bundle(`${RUN} postMessage(await report(3));`),
    };
    return (path, kind) => ({
      body: scripts[path] ?? pageOf("/page.js"),
      headers: {
        ...(kind !== "?none" && ISOLATED),
        ...(kind === "?csp" && { "content-security-policy": "worker-src 'self'" }),
      },
    });
  });
  beforeAll(async () => {
    alone = JSON.parse(await child(`${RUN} console.log(JSON.stringify(await report(1)));`));
  });

  async function inPage<T>(headers: string, body: string): Promise<T> {
    const page = await site.browser.newPage();
    await page.goto(`${site.url}/?${headers}`);
    await page.waitForFunction("globalThis.report !== undefined");
    const result = (await page.evaluate(`(async () => { ${body} })()`)) as T;
    await page.close();
    return result;
  }

  it("a page: stepAsync on 3 threads and step alone have the bits of Node on one, and the page waits for no word", async () => {
    const { threads, simd, scalar, jobs, waits, warnings } = await inPage<Report>("isolated", "return report(3);");
    expect(threads).toEqual([3, 3]);
    expect(simd).toEqual(alone.simd);
    expect(scalar).toEqual(alone.simd);
    // 4 steps of 2 jobs each, with either kernel.
    expect(jobs).toEqual({ step: 0, stepAsync: 16 });
    expect(waits).toBe(0);
    expect(warnings).toEqual([]);
  });

  it("a page's worker: the same bits, step and stepAsync on 3 threads", async () => {
    const { threads, simd, scalar, jobs } = await inPage<Report>(
      "isolated",
      `const worker = new Worker("/worker.js", { type: "module" });
      return new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });`,
    );
    expect(threads).toEqual([3, 3]);
    expect(simd).toEqual(alone.simd);
    expect(scalar).toEqual(alone.simd);
    expect(jobs).toEqual({ step: 16, stepAsync: 16 });
  });

  it("a page that is not isolated: one thread, the same bits, one warning that names the headers", async () => {
    const { threads, simd, scalar, warnings } = await inPage<Report>("none", "return report(3);");
    expect(threads).toEqual([1, 1]);
    expect(simd).toEqual(alone.simd);
    expect(scalar).toEqual(alone.simd);
    expect(warnings).toEqual([
      expect.stringMatching(/Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/),
    ]);
  });

  it("a policy without worker-src blob: the first step rejects and names the remedy", async () => {
    const message = await inPage<string>(
      "csp",
      "return report(3).catch(({ code, message }) => String([code, message]));",
    );
    expect(message).toMatch(/^ERR_WORKER,"threads": .*worker-src blob:/);
  });
});
