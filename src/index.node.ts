/*
 * What Node, Deno and Bun load as "fused-adam", by the condition "node" in package.json: index.ts, with two things at hand.
 * Node's own modules: before 20.16 and 22.3 Node has no `process.getBuiltinModule`, by which code that also runs in pages could get
 * them. And the code of threads: a program that only calls `createSync` and `step` never waits for what would be loaded later.
 */
import os from "node:os";
import workerThreads from "node:worker_threads";
import { provide } from "./threads/host.js";
import { Pool } from "./threads/pool.js";
import { providePools } from "./threads/pools.js";

const modules: Record<string, unknown> = { "node:os": os, "node:worker_threads": workerThreads };
provide(((name: string) => modules[name]) as typeof process.getBuiltinModule);
providePools(Pool);

export * from "./index.js";
