/** Where the tests run, and how a test says that it cannot, or need not, run there. */
import { beforeEach, type TestOptions } from "vitest";
import type { Host } from "../everywhere/engine/result.js";

declare module "vitest" {
  interface TaskMeta {
    /** Why a test is left out. */
    why?: string;
  }
}

/** What `npm run test:everywhere` says, or vitest's Node. */
export const HOST: Host = (globalThis as { everywhereHost?: Host }).everywhereHost ?? {
  engine: "vitest",
  thread: "main",
  isolated: true,
  wasm: true,
  blobWorkers: true,
};

/** Whether one of these engines runs the tests; "node" stands for every version of it. */
export function on(...engines: string[]): boolean {
  return engines.some((name) => HOST.engine.startsWith(name));
}

/** Whether `npm run test:everywhere` runs the tests, not vitest. */
export const everywhere = !on("vitest");

/** Whether what is tested is what lies in src/, as in `npm run dev`. */
export const fromSource = globalThis.process?.env.TESTED === "src";

/** Why there are no tests of what is built, or false. */
export const notBuilt = fromSource && "is about what is built; `npm test` runs it";

/** Where processes take other options than Node's. */
export const noNodeOptions = on("deno") && "starts a process with Node's options";

/** For what need not run twice. */
export function ranInVitest(what: string): string | false {
  return everywhere && `${what}; vitest ran it`;
}

/**
 * Options of a test or a suite that is left out for the first of the reasons that there is:
 * `it("…", unless(on("bun") && "Bun cannot do that"), () => …)`. The reason is reported.
 */
export function unless(...reasons: (string | false | undefined)[]): TestOptions {
  const why = reasons.find((reason) => typeof reason === "string");
  return why === undefined ? {} : { skip: true, meta: { why } };
}

/** The same for all tests of the file that calls this. */
export function fileUnless(...reasons: Parameters<typeof unless>): void {
  const why = unless(...reasons).meta?.why;
  if (why !== undefined) beforeEach(({ skip }) => skip(why));
}
