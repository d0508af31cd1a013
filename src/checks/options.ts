import { fail, failRange, failType, show } from "./errors.js";
import type { AdamOptions, KernelChoice, RuntimeOptions, Schedule, StepOptions } from "./types.js";

/** Hyper-parameters of a group, complete and checked. */
export interface Hyper {
  lr: number | Schedule;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  amsgrad: boolean;
  maximize: boolean;
  biasCorrection: boolean;
}

/** PyTorch's defaults; the decay is `torch.optim.Adam`'s, `torch.optim.AdamW`'s in ADAMW_DEFAULTS. */
export const ADAM_DEFAULTS: Readonly<Hyper> = {
  lr: 1e-3,
  betas: Object.freeze([0.9, 0.999] as const),
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
};
export const ADAMW_DEFAULTS: Readonly<Hyper> = { ...ADAM_DEFAULTS, weightDecay: 0.01 };

const PAIR = "an array of two numbers";
const KERNELS = ["auto", "simd", "relaxed", "scalar"];

/** The property if it is the object's own: a polluted `Object.prototype` sets no option. */
export function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}

/** The own property, or `fallback` where it is missing or undefined (null is neither: it fails the check that follows). */
function given(object: object, key: string, fallback: unknown): unknown {
  const value = own(object, key);
  return value === undefined ? fallback : value;
}

/** A record: neither null nor an array of any kind. */
export function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** The elements of an array, holes as undefined, so that the next check meets them. */
export function checkArray(label: string, value: unknown, expected: string): unknown[] {
  if (!Array.isArray(value)) failType(label, expected, value);
  return Array.from(value);
}

/** An object whose own keys are all known, so that no misspelt option is silently left out. */
export function checkObject(label: string, value: unknown, known: readonly string[]): object {
  if (!isRecord(value)) failType(label, "an object", value);
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      fail(
        TypeError,
        "ERR_UNKNOWN_OPTION",
        label,
        `only the keys ${known.join(", ")}`,
        `the key ${JSON.stringify(key)}`,
      );
    }
  }
  return value;
}

/** Adds a name to those there are. @throws RangeError `ERR_DUPLICATE_NAME` */
export function addName(label: string, names: Set<string>, name: string): void {
  if (names.has(name)) fail(RangeError, "ERR_DUPLICATE_NAME", label, "every name once", `${show(name)} twice`);
  names.add(name);
}

export function checkNumber(label: string, value: unknown): number {
  if (typeof value !== "number") failType(label, "a number", value);
  return value;
}

export function checkBoolean(label: string, value: unknown): boolean {
  if (typeof value !== "boolean") failType(label, "a boolean", value);
  return value;
}

export function checkNonNegative(label: string, value: unknown): number {
  const number = checkNumber(label, value);
  if (!(number >= 0 && number < Infinity)) failRange(label, "a finite number >= 0", number);
  return number;
}

export function checkCount(label: string, value: unknown, least = 0): number {
  const number = checkNumber(label, value);
  if (!Number.isSafeInteger(number) || number < least) failRange(label, `an integer from ${least} to 2^53 - 1`, number);
  return number;
}

function checkLr(label: string, value: unknown): number | Schedule {
  if (typeof value === "function") return value as Schedule;
  if (typeof value !== "number") failType(label, "a number or a function", value);
  return checkNonNegative(label, value);
}

function checkBetas(label: string, value: unknown): readonly [number, number] {
  const betas = checkArray(label, value, PAIR);
  if (betas.length !== 2) failRange(label, PAIR, value);
  betas.forEach((beta, i) => {
    const number = checkNumber(`${label}[${i}]`, beta);
    if (!(number >= 0 && number < 1)) failRange(`${label}[${i}]`, "a number in [0, 1)", number);
  });
  return Object.freeze(betas) as readonly [number, number];
}

/** How each hyper-parameter is checked, whether it comes with options, by assignment or from a state dict. */
export const CHECKS: { readonly [K in keyof Hyper]: (label: string, value: unknown) => Hyper[K] } = {
  lr: checkLr,
  betas: checkBetas,
  eps: checkNonNegative,
  weightDecay: checkNonNegative,
  amsgrad: checkBoolean,
  maximize: checkBoolean,
  biasCorrection: checkBoolean,
};

export const ADAM_KEYS = Object.keys(CHECKS) as (keyof Hyper)[];
export const RUNTIME_KEYS = ["kernel", "threads", "memory"] as const;

/** The hyper-parameters in `source`, those it leaves out taken from `defaults`. `prefix` stands before each label. */
export function readHyper(prefix: string, source: object, defaults: Readonly<Hyper>): Hyper {
  const read = (key: keyof Hyper) => {
    const value = own(source, key);
    return [key, value === undefined ? defaults[key] : CHECKS[key](prefix + key, value)];
  };
  return Object.fromEntries(ADAM_KEYS.map(read)) as Hyper;
}

export interface Runtime {
  readonly kernel: KernelChoice;
  readonly threads: number | "auto";
  readonly memory: WebAssembly.Memory | undefined;
}

export function readOptions(options: unknown = {}): object {
  return checkObject("options", options, [...ADAM_KEYS, ...RUNTIME_KEYS]);
}

export function readRuntime(options: AdamOptions & RuntimeOptions): Runtime {
  const kernel = given(options, "kernel", "auto");
  if (typeof kernel !== "string") failType("kernel", `one of ${KERNELS.join(", ")}`, kernel);
  if (!KERNELS.includes(kernel)) failRange("kernel", `one of ${KERNELS.join(", ")}`, kernel);
  const threads = given(options, "threads", 1);
  if (threads !== "auto") checkCount("threads", threads, 1);
  const memory = own(options, "memory");
  if (memory !== undefined && !isMemory(memory)) failType("memory", "a WebAssembly.Memory", memory);
  return { kernel: kernel as KernelChoice, threads: threads as number | "auto", memory };
}

/** By what only a real one has, of whatever realm: neither a look-alike nor a proxy can be imported. */
function isMemory(value: unknown): value is WebAssembly.Memory {
  try {
    Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, "buffer")!.get!.call(value);
    return true;
  } catch {
    return false;
  }
}

/** `StepOptions`, complete and checked, except that names to skip are only known to be strings. */
export interface Step {
  readonly clipNorm: number | undefined;
  readonly gradScale: number;
  readonly skipNonFinite: boolean;
  readonly zeroGrad: boolean;
  readonly skip: ReadonlySet<string> | undefined;
}

const PLAIN_STEP: Step = {
  clipNorm: undefined,
  gradScale: 1,
  skipNonFinite: false,
  zeroGrad: false,
  skip: undefined,
};

/** How each step option is checked. */
const STEP_CHECKS: { readonly [K in keyof Step]: (label: string, value: unknown) => Step[K] } = {
  clipNorm: checkNonNegative,
  gradScale: checkGradScale,
  skipNonFinite: checkBoolean,
  zeroGrad: checkBoolean,
  skip: checkNames,
};
const STEP_KEYS = Object.keys(STEP_CHECKS) as (keyof Step)[];

/** Runs in every step: walks the few keys that are there, not all that could be. */
export function readStep(options: StepOptions | undefined): Step {
  if (options === undefined) return PLAIN_STEP;
  checkObject("options", options, STEP_KEYS);
  const step: { -readonly [K in keyof Step]: Step[K] } = { ...PLAIN_STEP };
  const read = <K extends keyof Step>(key: K, value: unknown) => {
    if (value !== undefined) step[key] = STEP_CHECKS[key](key, value);
  };
  for (const key of STEP_KEYS) if (Object.hasOwn(options, key)) read(key, options[key]);
  return step;
}

function checkGradScale(label: string, value: unknown): number {
  const scale = checkNumber(label, value);
  if (!(scale > 0 && scale < Infinity)) failRange(label, "a finite number > 0", scale);
  return scale;
}

function checkNames(label: string, value: unknown): ReadonlySet<string> {
  // A string is iterable too, but its characters are not what was meant.
  if (!isIterable(value)) failType(label, "an iterable of names", value);
  const names = new Set<string>();
  for (const name of value) {
    if (typeof name !== "string") failType(label, "names as strings", name);
    names.add(name);
  }
  return names;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as Iterable<unknown>)[Symbol.iterator] === "function"
  );
}
