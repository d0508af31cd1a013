import { getFn, startTests, type Task, type Test, type VitestRunner } from "@vitest/runner";
import { getTasks, getTests } from "@vitest/runner/utils";
import { LAZY } from "../../../src/generated/lazy.js";
import * as halves from "../../../src/kernels/halves.js";
import { provideModules } from "../../../src/kernels/modules.js";
import { Pool } from "../../../src/threads/pool.js";
import { providePools } from "../../../src/threads/pools.js";
import { absent, askedInVain } from "./absent.js";
import { provideBuffer } from "./buffer.js";
import { CONFIG } from "./config.js";
import type { FileResult, Host, TestResult } from "./result.js";

/** Runs a test file with vitest's runner, in the realm this is called in: once per realm, as vitest does. */
export async function runFile(file: string, host: Host, load: () => Promise<unknown>): Promise<FileResult> {
  provideBuffer();
  // As index.node.ts does for its runtimes. Pages load the code of threads, and relaxed kernels, when they are asked for.
  if (globalThis.process?.versions?.node !== undefined) {
    providePools(Pool);
    provideModules(LAZY, halves);
  }
  (globalThis as { everywhereHost?: Host }).everywhereHost = host;
  let missing: string | undefined;
  const runner: VitestRunner = {
    config: CONFIG,
    async importFile() {
      try {
        await load();
      } catch (error) {
        const needs = missingIn(error, file, host);
        if (needs !== undefined) absent(needs);
        throw error;
      } finally {
        missing = askedInVain();
      }
    },
    async runTask(test: Test) {
      try {
        await getFn(test)();
      } catch (error) {
        const missing = missingIn(error, file, host);
        if (missing !== undefined) absent(missing);
        throw error;
      }
    },
    // After its hooks, which may have asked as well.
    onAfterRetryTask(test: Test) {
      const note = askedInVain();
      if (note !== undefined) Object.assign(test.result!, { state: "skip", note });
    },
  };
  const [task] = await startTests([file], runner);
  if (missing !== undefined) return { tests: [], skipped: missing };
  const tests = getTests(task!).map(resultOf);
  const outside = getTasks(task!).filter(({ type }) => type === "suite");
  const error = [task!, ...outside].map(errorOf).find((text) => text !== undefined);
  // Asked for by no test: where they are described.
  const late = error === undefined ? undefined : askedInVain();
  return late === undefined ? { tests, error } : { tests: [], skipped: late };
}

/** What an error says is missing here; nothing else that goes wrong is taken for that. Tests of hosts know what theirs lacks. */
function missingIn(error: unknown, file: string, host: Host): string | undefined {
  if (file.startsWith("test/everywhere/")) return undefined;
  const text = String(error);
  const [, name] =
    /^ReferenceError: (?:Can't find variable: )?(SharedArrayBuffer|gc)(?: is not defined)?$/.exec(text) ?? [];
  if (name !== undefined) return name;
  // Only what asks for a kernel by name, or compiles by itself, gets an error; "auto" falls back.
  if (!host.wasm && /can run "(simd|relaxed)", got a host that forbids compiling|^CompileError: /.test(text)) {
    return "compiling WebAssembly";
  }
  // The package's own errors, which have a code, say all themselves.
  const { cause, code } = error as { cause?: unknown; code?: unknown };
  return cause === undefined || code !== undefined ? undefined : missingIn(cause, file, host);
}

const STATES = { pass: "passed", fail: "failed" } as const;

function resultOf(test: Test): TestResult {
  const state = STATES[test.result?.state as keyof typeof STATES] ?? "skipped";
  const note = state === "failed" ? errorOf(test) : ((test.result as { note?: string })?.note ?? test.meta.why);
  return { name: test.fullTestName, state, note, milliseconds: test.result?.duration ?? 0 };
}

function errorOf(task: Task): string | undefined {
  const [error] = task.result?.errors ?? [];
  return error === undefined
    ? undefined
    : `${error.stack?.includes(error.message) ? "" : `${error.message}\n`}${error.stack}`;
}
