import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("net.c", import.meta.url));
const output = fileURLToPath(new URL("out/net.wasm", import.meta.url));

const FLAGS = [
  // No C library, no start function. The module defines its memory and exports it.
  ...["--target=wasm32", "-nostdlib", "-ffreestanding", "-Wl,--no-entry", "-Wl,--stack-first"],
  ...["-O3", "-msimd128", "-mbulk-memory", "-Wall", "-Wextra", "-Werror"],
];

/** Whether both tools are installed. */
export function hasCompiler(): boolean {
  try {
    for (const tool of ["clang", "wasm-ld"]) execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Compiles net.c. @returns the module's path @throws Error that says what to install */
export function compile(): string {
  if (!hasCompiler()) {
    throw new Error(
      "This example needs clang and wasm-ld. Debian, Ubuntu: apt-get install clang lld. macOS: brew install llvm lld",
    );
  }
  mkdirSync(new URL("out/", import.meta.url), { recursive: true });
  execFileSync("clang", [...FLAGS, "-o", output, source], { stdio: "inherit" });
  return output;
}
