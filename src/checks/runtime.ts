import { RUNTIME_DEFAULTS, type Runtime } from "./defaults.js";
import { fail, failRange, failType } from "./errors.js";
import { GROUP_OPTIONS } from "./hyper.js";
import type { KernelChoice } from "./types.js";
import { type Checks, checkCount, checkObject, checkOneOf, optionReader } from "./values.js";
import { warnOnce } from "./warn.js";

/** More than any machine runs at once: whoever asks for more means something else. */
const MOST_THREADS = 1024;
const KERNELS: readonly KernelChoice[] = ["auto", "simd", "relaxed", "scalar"];

const RUNTIME_CHECKS: Checks<Runtime> = {
  kernel: (label, value) => checkOneOf(label, value, KERNELS),
  threads: checkThreads,
  memory: checkMemory,
  module: checkModule,
};

const read = optionReader(RUNTIME_CHECKS);

/** @throws Error `ERR_KERNEL_UNAVAILABLE` for a kernel that cannot address the memory */
export function readRuntime(options: object): Readonly<Runtime> {
  const runtime = read(options, RUNTIME_DEFAULTS);
  const { kernel, memory } = runtime;
  if (memory === undefined || kernel === "scalar" || !hasLongAddresses(memory)) return runtime;
  const got = "a memory with 64-bit addresses";
  if (kernel !== "auto") fail(Error, "ERR_KERNEL_UNAVAILABLE", "kernel", `32-bit addresses for "${kernel}"`, got);
  warnOnce(`running the TypeScript kernels, which are much slower, on ${got}`);
  return { ...runtime, kernel: "scalar" };
}

/** Checks the keys of an optimizer's options; values are checked when they are read. */
export function checkOptions(options: unknown = {}): object {
  return checkObject("options", options, [...GROUP_OPTIONS, ...Object.keys(RUNTIME_CHECKS)]);
}

function checkThreads(label: string, value: unknown): number | "auto" {
  if (value === "auto") return value;
  const threads = checkCount(label, value, 1);
  if (threads > MOST_THREADS) failRange(label, `an integer from 1 to ${MOST_THREADS}`, threads);
  return threads;
}

/** Whether modules with 32-bit addresses cannot import it: then `grow` wants a BigInt, which no other text becomes. Grows nothing. */
function hasLongAddresses(memory: WebAssembly.Memory): boolean {
  try {
    memory.grow("none" as unknown as number);
  } catch (error) {
    return (error as Error).name === "SyntaxError";
  }
  return false;
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

function checkModule(label: string, value: unknown): WebAssembly.Module {
  try {
    WebAssembly.Module.exports(value as WebAssembly.Module);
  } catch {
    failType(label, "a WebAssembly.Module", value);
  }
  return value as WebAssembly.Module;
}
