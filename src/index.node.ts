/*
 * What Node, Deno and Bun load as "fused-adam", by the condition "node" in package.json: index.ts, with four things at hand.
 * Node's own modules: before 20.16 and 22.3 Node has no `process.getBuiltinModule`, by which code that also runs in pages could get
 * them. The code of threads, and the modules that pages load when they are asked for: a program that only calls `createSync` and `step`
 * never waits for what would be loaded later. How optimizers are printed.
 */
import os from "node:os";
import workerThreads from "node:worker_threads";
import { LAZY } from "./generated/lazy.js";
import * as halves from "./kernels/halves.js";
import { provideModules } from "./kernels/modules.js";
import { inspectable } from "./optimizer/inspect.js";
import { provide } from "./threads/host.js";
import { Pool } from "./threads/pool.js";
import { providePools } from "./threads/pools.js";

const builtins: Record<string, unknown> = { "node:os": os, "node:worker_threads": workerThreads };
provide(((name: string) => builtins[name]) as typeof process.getBuiltinModule);
providePools(Pool);
provideModules(LAZY, halves);
inspectable();

export * from "./index.js";
