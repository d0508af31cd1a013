/** What tests of the public interface share: telling errors apart, and telling whether anything changed. */
import { AdamW, type ErrorCode, type StepOptions } from "fused-adam";
import { expect } from "vitest";
import { dyadic, type Optimizer } from "./model.js";

export interface Expected {
  readonly Class: ErrorConstructor | TypeErrorConstructor | RangeErrorConstructor;
  readonly code: ErrorCode;
  readonly label: string | RegExp;
}

export function typeError(label: Expected["label"], code: ErrorCode = "ERR_INVALID_TYPE"): Expected {
  return { Class: TypeError, code, label };
}

export function rangeError(label: Expected["label"], code: ErrorCode = "ERR_OUT_OF_RANGE"): Expected {
  return { Class: RangeError, code, label };
}

/** An error about a wrong state, neither type nor range. */
export function stateError(label: Expected["label"], code: ErrorCode): Expected {
  return { Class: Error, code, label };
}

export async function caught(call: () => unknown, context = ""): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`${context}: no error`);
}

export function expectError(error: unknown, { Class, code, label }: Expected, context = ""): void {
  const { message } = error as Error;
  const about = `${context}: ${String(error)}`;
  expect((error as Error).constructor, about).toBe(Class);
  expect((error as { code?: unknown }).code, about).toBe(code);
  expect(message, about).toMatch(/^"[^"]+": expected .+, got .+$/s);
  const named = /^"([^"]+)"/.exec(message)![1]!;
  if (typeof label === "string") expect(named, about).toBe(label);
  else expect(named, about).toMatch(label);
}

const functions: unknown[] = [];

/** JSON that tells all numbers apart, and functions by identity. */
function exactly(_: string, value: unknown): unknown {
  if (typeof value === "number" && (Object.is(value, -0) || !Number.isFinite(value))) return `number ${value}`;
  if (typeof value !== "function") return value;
  if (!functions.includes(value)) functions.push(value);
  return `function ${functions.indexOf(value)}`;
}

export interface Fingerprint {
  readonly text: string;
  readonly memory: Buffer;
}

/** All there is to see of an optimizer, bit for bit: also padding, and whatever else its memory holds. */
export function fingerprint(optimizer: Optimizer): Fingerprint {
  const { state, param_groups } = optimizer.stateDict();
  const tensors = optimizer.names.map((name) => {
    const [param, grad] = [optimizer.param(name), optimizer.grad(name)];
    return [name, state[name]!.step, param.byteOffset, grad.byteOffset, param.length];
  });
  const live = optimizer.paramGroups.map((group) => [
    group.params,
    ...[group.lr, group.betas, group.eps, group.weightDecay, group.amsgrad, group.maximize, group.biasCorrection],
  ]);
  const text = JSON.stringify({ tensors, live, param_groups }, exactly);
  return { text, memory: Buffer.from(new Uint8Array(optimizer.memory.buffer)) };
}

export function expectSamePrint(actual: Fingerprint, expected: Fingerprint, context = ""): void {
  if (actual.text !== expected.text) expect(JSON.parse(actual.text), context).toEqual(JSON.parse(expected.text));
  expect(actual.memory.length, `${context}: bytes of memory`).toBe(expected.memory.length);
  if (Buffer.compare(actual.memory, expected.memory) === 0) return;
  const at = actual.memory.findIndex((byte, i) => byte !== expected.memory[i]);
  throw new Error(`${context}: memory differs, first at byte ${at} of ${actual.memory.length}; ${actual.text}`);
}

/** One step with every option, and one with none. */
const NEXT: readonly StepOptions[] = [{}, { clipNorm: 0.5, gradScale: 3, skipNonFinite: true, zeroGrad: true }];

/** An optimizer that has been through errors and one that never saw any: they must not drift apart by a bit. */
export class Twins {
  readonly victim: Optimizer;
  readonly twin: Optimizer;
  #steps = 0;

  constructor(make: () => Optimizer) {
    this.victim = make();
    this.twin = make();
    for (const _ of NEXT) this.step();
  }

  /** The next step of both. */
  step(context = ""): void {
    const seed = this.#steps++;
    const options = NEXT[seed % NEXT.length];
    for (const optimizer of [this.victim, this.twin]) fillGrads(optimizer, seed);
    expect(this.victim.step(options), context).toEqual(this.twin.step(options));
    this.expectSame(context);
  }

  expectSame(context = ""): void {
    expectSamePrint(fingerprint(this.victim), fingerprint(this.twin), context);
  }

  /** That the call fails as it should, changes nothing, and leaves no trace in the step that follows. */
  async refuses(call: (victim: Optimizer) => unknown, expected: Expected, context = ""): Promise<void> {
    const { victim } = this;
    fillGrads(victim, 1000 + this.#steps);
    const before = fingerprint(victim);
    const views = victim.names.flatMap((name) => [victim.param(name), victim.grad(name)]);
    const groups = victim.paramGroups;
    expectError(await caught(() => call(victim), context), expected, context);
    expectSamePrint(fingerprint(victim), before, context);
    const after = victim.names.flatMap((name) => [victim.param(name), victim.grad(name)]);
    expect(
      after.every((view, i) => view === views[i]),
      context,
    ).toBe(true);
    expect(victim.paramGroups, context).toBe(groups);
    this.step(context);
  }
}

export function fillGrads(optimizer: Optimizer, seed: number): void {
  for (const [i, name] of optimizer.names.entries()) {
    const grad = optimizer.grad(name);
    grad.set(dyadic(grad.length, seed * 31 + i));
  }
}

/** One function, so that it is the same in the group of every sample. */
const falling = (step: number) => 0.1 / step;

/** Three groups: several tensors with padding, AMSGrad, a schedule. */
export function sample(kernel: "simd" | "scalar" = "simd"): AdamW {
  const groups = [
    { params: { a: dyadic(5, 1), b: dyadic(16, 2) } },
    { params: { c: dyadic(3, 3) }, amsgrad: true, lr: 0.01, maximize: true },
    { params: { d: { shape: [2, 9] } }, lr: falling, betas: [0.5, 0.75] as const, eps: 1e-6 },
  ];
  return AdamW.createSync(groups, { kernel, weightDecay: 0.125 });
}

/** Elements at a byte offset of an optimizer's memory. */
export function floatsAt(memory: WebAssembly.Memory, offset: number, length: number): Float32Array {
  return new Float32Array(memory.buffer, offset, length);
}

/** The key of what `using` calls, also where the host does not have it. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/** A value that the types forbid. */
export function wrong<T>(value: unknown): T {
  return value as T;
}

/** Runs `body` while `Object.prototype` has these properties. */
export async function polluted(properties: Record<string, unknown>, body: () => unknown): Promise<void> {
  const target = Object.prototype as unknown as Record<string, unknown>;
  try {
    Object.assign(target, properties);
    await body();
  } finally {
    for (const key of Object.keys(properties)) delete target[key];
  }
}

/** A Proxy that throws whatever is done with it. */
export function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** The view, its buffer having gone elsewhere. */
export function detach<T extends ArrayBufferView>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

export interface Resizable extends ArrayBuffer {
  resize(bytes: number): void;
}
/** ES2024's, which TypeScript's library here does not know yet. */
export function resizable(bytes: number, most: number): Resizable {
  return Reflect.construct(ArrayBuffer, [bytes, { maxByteLength: most }]);
}
