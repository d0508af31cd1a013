import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, cpus, freemem, platform, release, totalmem } from "node:os";
import { nativeCpu } from "./native/process.js";

/** Which machine, engine and peers the figures are of. */
export function describeHost(): Record<string, string> {
  const { resolve } = createRequire(import.meta.url);
  const version = (name: string) => {
    // Not by require: not every package exports its package.json.
    const path = resolve(name);
    const root = `${path.slice(0, path.lastIndexOf(`node_modules/${name}/`))}node_modules/${name}/package.json`;
    return JSON.parse(readFileSync(root, "utf8")).version as string;
  };
  return {
    cpu: `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${platform()} ${release()} ${arch()}`,
    engine: `Node ${process.version}, V8 ${process.versions.v8}`,
    peers: ["@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-wasm", "@jax-js/jax"]
      .map((name) => `${name} ${version(name)}`)
      .join(", "),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** Measures how much of the machine other processes use: the ratio of one thread to two depends on it. */
export function watchOthers(): () => number {
  const [busyBefore, ownBefore, start] = [busy(), own(), performance.now()];
  return () => {
    const elapsed = (performance.now() - start) * cpus().length;
    return Math.max(0, (busy() - busyBefore - (own() - ownBefore)) / elapsed);
  };
}

/** Busy milliseconds, summed over all cores. */
function busy(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

function own(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + nativeCpu();
}

/** Bytes that are free. */
export function availableMemory(): number {
  return freemem();
}
