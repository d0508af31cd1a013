/** What a host allows and forbids, and what the package makes of it: never an exception at import, one warning that names the remedy. */
import { Adam, AdamW, type RuntimeOptions } from "fused-adam";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { caught, expectError, stateError } from "../support/api.js";
import { HOST } from "../support/host.js";
import { dyadic, Model, type Optimizer } from "../support/model.js";

const BROWSER = globalThis.process === undefined;
/** The smallest module: magic and version. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
/** Enough elements for threads to have something to do. */
const params = { a: dyadic(70_000, 1), b: dyadic(33, 2) };

const warnings: string[] = [];
beforeEach(() => {
  warnings.length = 0;
  vi.spyOn(console, "warn").mockImplementation((text) => void warnings.push(String(text)));
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Five steps with the reference's bits, however they are taken. @param pause after each, in milliseconds */
async function expectSteps(optimizer: Optimizer, how: "step" | "stepAsync", pause = 0): Promise<void> {
  const model = new Model("adamw", params);
  for (let step = 0; step < 5; step++) {
    model.fillGrads(optimizer, step);
    const options = step % 2 ? { clipNorm: 2 } : {};
    expect(await optimizer[how](options)).toEqual(model.step(options));
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  model.expectSame(optimizer);
}

describe("the host is what it was served as", () => {
  it("cross-origin isolated or not", ({ skip }) => {
    skip(!BROWSER, "is about pages");
    expect(crossOriginIsolated).toBe(HOST.isolated);
  });

  it("on the main thread or in a worker", () => {
    const inWorker = BROWSER
      ? typeof document === "undefined"
      : !process.getBuiltinModule("node:worker_threads").isMainThread;
    expect(inWorker).toBe(HOST.thread === "worker");
  });

  // Forbidden is compiling in some engines, in WebKit what comes after it.
  it("runs WebAssembly or does not, while it validates it in any case", async () => {
    const outcomes = await Promise.all([
      caught(() => new WebAssembly.Instance(new WebAssembly.Module(EMPTY)), "no error").then(Boolean, () => false),
      caught(() => WebAssembly.instantiate(EMPTY), "no error").then(Boolean, () => false),
    ]);
    expect(outcomes).toEqual([!HOST.wasm, !HOST.wasm]);
    expect(WebAssembly.validate(EMPTY)).toBe(true);
  });

  it("starts a worker from a Blob or does not", async ({ skip }) => {
    skip(!BROWSER, "is about pages");
    const url = URL.createObjectURL(new Blob(["postMessage(1)"], { type: "text/javascript" }));
    const { trustedTypes } = globalThis as {
      trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): string } };
    };
    const started = await new Promise((resolve) => {
      const policy = trustedTypes?.createPolicy("test", { createScriptURL: (url: string) => url });
      const worker = new Worker(policy?.createScriptURL(url) ?? url);
      worker.onmessage = () => resolve(true);
      worker.onerror = () => resolve(false);
      // Or, in WebKit, the constructor throws; under Trusted Types what makes the policy.
    }).catch(() => false);
    URL.revokeObjectURL(url);
    expect(started).toBe(HOST.blobWorkers);
  });
});

describe("kernels", () => {
  // First, because what was said once is not said again.
  it("auto is SIMD, or TypeScript after one warning that names 'wasm-unsafe-eval'; its bits are the reference's", async () => {
    for (const make of [AdamW.createSync, AdamW.create]) {
      for (const kernel of ["auto", undefined] as const) {
        const optimizer = await make(params, { kernel });
        expect(optimizer.kernel).toBe(HOST.wasm ? "simd" : "scalar");
        await expectSteps(optimizer, "step");
      }
    }
    expect(warnings).toEqual(HOST.wasm ? [] : [expect.stringMatching(/^fused-adam: .*'wasm-unsafe-eval'/)]);
  });

  it("SIMD by name is SIMD, or an error that names 'wasm-unsafe-eval'", async () => {
    for (const Class of [Adam, AdamW]) {
      for (const make of [Class.createSync, Class.create]) {
        const call = async () => (await make(params, { kernel: "simd" })).kernel;
        if (HOST.wasm) {
          expect(await call()).toBe("simd");
          continue;
        }
        const error = await caught(call);
        expectError(error, stateError("kernel", "ERR_KERNEL_UNAVAILABLE"));
        expect(String(error)).toContain("'wasm-unsafe-eval'");
      }
    }
    expect(warnings).toEqual([]);
  });
});

describe("threads: 2", () => {
  const runtimes: readonly RuntimeOptions[] = [{ threads: 2 }, { threads: 2, kernel: "scalar" }];
  const warned = () => warnings.filter((text) => !text.includes("wasm-unsafe-eval"));

  /**
   * Every way to make an optimizer and to step it. Workers are woken for each of the 7 jobs of five steps, of which two need a norm;
   * but `step` on a page's main thread, which must not wait, wakes nobody.
   */
  async function expectThreads(threads: number): Promise<void> {
    const notify = vi.spyOn(Atomics, "notify");
    const wait = vi.spyOn(Atomics, "wait");
    const isMainOfPage = BROWSER && HOST.thread === "main";
    for (const options of runtimes) {
      for (const make of [AdamW.createSync, AdamW.create]) {
        // In this order, because in a page stepAsync waits for the code of threads, and until it is there step runs alone.
        for (const how of ["stepAsync", "step"] as const) {
          const optimizer = await make(params, options);
          expect(optimizer.threads).toBe(threads);
          notify.mockClear();
          await expectSteps(optimizer, how);
          const jobs = threads === 1 || (isMainOfPage && how === "step") ? 0 : 7;
          expect(notify.mock.calls.length).toBe(jobs);
          optimizer.dispose();
        }
      }
    }
    // A word of its own is waited for to find out whether this thread may wait at all.
    if (isMainOfPage) expect(wait.mock.calls.filter(([array]) => array.length > 1)).toEqual([]);
  }

  it("where memory is shared, two: woken once a job, not waited for on a page; nothing is said", async ({ skip }) => {
    skip(!HOST.isolated || !HOST.blobWorkers, "needs threads");
    await expectThreads(2);
    expect(warned()).toEqual([]);
  });

  it("where it cannot, one after one warning that names both headers", async ({ skip }) => {
    skip(HOST.isolated, "is about pages that are not isolated");
    await expectThreads(1);
    expect(warned()).toEqual([expect.stringMatching(/Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/)]);
    // Nor where the constructor can be had all the same, as it can from any shared memory: posting what it makes would throw.
    const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const scope = globalThis as { SharedArrayBuffer?: unknown };
    scope.SharedArrayBuffer ??= buffer.constructor;
    await expectThreads(1);
    expect(warned()).toHaveLength(1);
  });

  it("where a policy refuses the workers, one after one warning that names the remedy", async ({ skip }) => {
    skip(HOST.blobWorkers, "is about policies that refuse workers");
    for (const options of runtimes) {
      for (const how of ["step", "stepAsync"] as const) {
        const optimizer = await AdamW.create(params, options);
        // stepAsync waits for workers to start; step needs none, and hears of it between steps.
        await expectSteps(optimizer, how, how === "step" ? 300 : 0);
        expect(optimizer.threads).toBe(1);
        optimizer.dispose();
      }
    }
    const remedy = BROWSER ? /worker-src blob:, and under Trusted Types: trusted-types fused-adam/ : /Worker/;
    expect(warned()).toEqual([expect.stringMatching(remedy)]);
  });
});
