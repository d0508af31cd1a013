/** Python, with the libraries that `npm run python` has installed, or else with what the system has. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { everywhere, ranInVitest } from "./host.js";
import { root } from "./root.js";

/** With Debian's PyTorch, or with JAX, optax and Keras: they need different versions of NumPy. */
export type Environment = "torch" | "jax";

export interface PythonOptions {
  /** Default "torch". */
  readonly environment?: Environment;
  /** Arguments after the script. */
  readonly args?: readonly string[];
  /** What it reads from standard input. */
  readonly input?: string;
  readonly cwd?: string;
}

/** Path of the interpreter. */
export function interpreter(environment: Environment): string {
  const own = `${root}build/python/${environment}/bin/python`;
  return existsSync(own) ? own : "/usr/bin/python3";
}

/** What a script prints. @throws if it fails */
export function python(script: string, { environment = "torch", args = [], ...options }: PythonOptions = {}): string {
  return execFileSync(interpreter(environment), ["-c", script, ...args], {
    encoding: "utf8",
    env: { ...process.env, KERAS_BACKEND: "jax", JAX_PLATFORMS: "cpu" },
    stdio: "pipe",
    maxBuffer: 1 << 25,
    ...options,
  });
}

/** Why a script that imports these modules cannot run here, or false. */
export function noPython(environment: Environment, ...modules: string[]): string | false {
  if (everywhere) return ranInVitest("is about Python");
  const missing = modules.find((name) => {
    try {
      python(`import importlib.util, sys; sys.exit(importlib.util.find_spec("${name}") is None)`, { environment });
      return false;
    } catch {
      return true;
    }
  });
  return missing !== undefined && `needs Python's ${missing} (npm run python)`;
}

/** Why there is no PyTorch to compare with, or false. */
export function noTorch(): string | false {
  return noPython("torch", "torch");
}
