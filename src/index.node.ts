/*
 * What Node, Deno and Bun load as "fused-adam", by the condition "node" in package.json: the same as index.ts, with Node's modules
 * at hand. Before 20.16 and 22.3 Node has no `process.getBuiltinModule`, by which code that also runs in pages could get them.
 */
import os from "node:os";
import workerThreads from "node:worker_threads";
import { provide } from "./threads/host.js";

const modules: Record<string, unknown> = { "node:os": os, "node:worker_threads": workerThreads };
provide(((name: string) => modules[name]) as typeof process.getBuiltinModule);

export * from "./index.js";
