import { RUNTIME_DEFAULTS, type Runtime } from "./defaults.js";
import { failRange, failType } from "./errors.js";
import { ADAM_KEYS } from "./hyper.js";
import type { KernelChoice } from "./types.js";
import { type Checks, checkCount, checkObject, optionReader } from "./values.js";

const KERNELS = ["auto", "simd", "relaxed", "scalar"];

const RUNTIME_CHECKS: Checks<Runtime> = {
  kernel: checkKernel,
  threads: (label, value) => (value === "auto" ? value : checkCount(label, value, 1)),
  memory: checkMemory,
};

const read = optionReader(RUNTIME_CHECKS);

export function readRuntime(options: object): Readonly<Runtime> {
  return read(options, RUNTIME_DEFAULTS);
}

/** Checks the keys of an optimizer's options; values are checked when they are read. */
export function checkOptions(options: unknown = {}): object {
  return checkObject("options", options, [...ADAM_KEYS, ...Object.keys(RUNTIME_CHECKS)]);
}

function checkKernel(label: string, value: unknown): KernelChoice {
  const expected = `one of ${KERNELS.join(", ")}`;
  if (typeof value !== "string") failType(label, expected, value);
  if (!KERNELS.includes(value)) failRange(label, expected, value);
  return value as KernelChoice;
}

/** By the built-in getter, which takes a memory of any realm, and nothing that only looks like one. */
function checkMemory(label: string, value: unknown): WebAssembly.Memory {
  try {
    Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, "buffer")!.get!.call(value);
  } catch {
    failType(label, "a WebAssembly.Memory", value);
  }
  return value as WebAssembly.Memory;
}
