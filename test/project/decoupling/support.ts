import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { compile } from "../../../examples/decoupling/compile.js";
import { type Dataset, datasetOf, type Entry } from "../../../examples/decoupling/dataset.js";
import { createRng } from "../../../examples/shared/rng.js";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** An empty folder, removed when the file's tests have ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "decoupling-"));
  folders.push(folder);
  return folder;
}

/** assembly/network.ts, compiled. */
export function compiledNetwork(): WebAssembly.Module {
  const folder = mkdtempSync(join(tmpdir(), "decoupling-"));
  try {
    return new WebAssembly.Module(compile(join(folder, "network.wasm")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Examples with some of the inputs each, one of them with none. */
export function randomDataset(inputs: number, classes: number, size: number, seed: number): Dataset {
  const rng = createRng(seed);
  const entries = (i: number): Entry[] =>
    Array.from({ length: inputs }, (_, column): Entry => [column, Math.fround(4 * rng() - 2)]).filter(
      () => i !== 1 && rng() < 0.4,
    );
  return datasetOf(
    inputs,
    classes,
    Array.from({ length: size }, (_, i) => ({ entries: entries(i), label: Math.floor(classes * rng()) })),
  );
}
