import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const config = fileURLToPath(new URL("assembly/asconfig.json", import.meta.url));

/** Compiles assembly/network.ts. @param output the module's path @throws Error when the compiler fails, which says why itself */
export function compile(output: string): Uint8Array<ArrayBuffer> {
  const asc = createRequire(import.meta.url).resolve("assemblyscript/bin/asc.js");
  // A process of its own is twice as fast as the compiler's API here: tsx would look through all of it first.
  execFileSync(process.execPath, [asc, "--config", config, "--target", "network", "--outFile", output], {
    stdio: "inherit",
  });
  return new Uint8Array(readFileSync(output));
}
