/** Debian's Python, and whether it has PyTorch. */
import { execFileSync } from "node:child_process";
import { everywhere, ranInVitest } from "./host.js";

export const PYTHON = "/usr/bin/python3";

export interface PythonOptions {
  /** Arguments after the script. */
  readonly args?: readonly string[];
  /** What it reads from standard input. */
  readonly input?: string;
  readonly cwd?: string;
}

/** What a script prints. */
export function python(script: string, { args = [], ...options }: PythonOptions = {}): string {
  return execFileSync(PYTHON, ["-c", script, ...args], { encoding: "utf8", stdio: "pipe", ...options });
}

/** Why there is no PyTorch to compare with, or false. */
export function noTorch(): string | false {
  if (everywhere) return ranInVitest("is about Python");
  try {
    python("import torch");
    return false;
  } catch {
    return "needs Debian's python3-torch";
  }
}
