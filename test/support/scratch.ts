import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { root } from "./root.js";

/** A folder for the tests of a file, which is gone after the last of them. */
export function scratch(): string {
  return removed(mkdtempSync(join(tmpdir(), "fused-adam-")));
}

/** The same inside of the package, where "fused-adam" resolves to what is built. */
export function scratchInPackage(): string {
  mkdirSync(`${root}build`, { recursive: true });
  return removed(mkdtempSync(`${root}build/scratch-`));
}

function removed(folder: string): string {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
