import { Adam, type AdamOptions, AdamW, type ParamGroup } from "fused-adam";
import { randomBits } from "./data.js";
import type { Mode, Optimizer } from "./model.js";

/** How the same values can be laid out and run: what must not show in any bit of a result. */
export interface LayoutOptions {
  readonly kernel: "simd" | "scalar";
  /** In the optimizer's own memory; or in the host's, each region somewhere; or there, each behind the other. */
  readonly memory: "arena" | "scattered" | "adjacent";
  /** All tensors in one group, or each in a group of its own. */
  readonly groups: "one" | "each";
  /** For each tensor the lengths of the parameters that hold it. */
  readonly pieces: readonly (readonly number[])[];
  readonly seed: number;
}

const REGIONS = ["param", "grad", "expAvg", "expAvgSq", "maxExpAvgSq"] as const;
type Placed = Record<"length" | (typeof REGIONS)[number], number>;

type Moments = Record<"expAvg" | "expAvgSq" | "maxExpAvgSq", Float32Array>;

/** An optimizer over tensors that are cut into pieces, seen through as if they were not. */
export class Layout {
  readonly optimizer: Optimizer;
  readonly #pieces: readonly (readonly number[])[];
  /** For each word of the host's memory, whether a region covers it; the others hold the pattern. */
  #covered = new Uint8Array(0);

  constructor(
    readonly label: string,
    mode: Mode,
    tensors: readonly Float32Array[],
    hyper: AdamOptions,
    options: LayoutOptions,
  ) {
    const { kernel, memory: place, groups, pieces, seed } = options;
    this.#pieces = pieces;
    const Class = mode === "adam" ? Adam : AdamW;
    const cut = tensors.map((values, i) => {
      let start = 0;
      return pieces[i]!.map((length, j) => {
        start += length;
        return [pieceName(i, j), values.subarray(start - length, start)] as const;
      });
    });
    const grouped = <T>(sources: readonly (readonly (readonly [string, T])[])[]) =>
      (groups === "one" ? [sources.flat()] : sources).map((entries) => ({ params: Object.fromEntries(entries) }));

    if (place === "arena") {
      this.optimizer = Class.createSync(grouped(cut) as ParamGroup[], { ...hyper, kernel });
      return;
    }
    const values = cut.flat();
    const [memory, placed] = allocate(
      values.map(([, { length }]) => length),
      place,
      seed,
    );
    values.forEach(([, piece], n) => {
      new Float32Array(memory.buffer, placed[n]!.param, piece.length).set(piece);
    });
    this.#covered = coveredBy(memory, placed);
    let n = 0;
    const pointers = cut.map((list) => list.map(([name]) => [name, placed[n++]!] as const));
    this.optimizer = Class.createSync(grouped(pointers) as ParamGroup[], { ...hyper, kernel, memory });
  }

  names(tensors: Iterable<number>): string[] {
    return [...tensors].flatMap((i) => this.#pieces[i]!.map((_, j) => pieceName(i, j)));
  }

  setGrad(tensor: number, values: Float32Array): void {
    let start = 0;
    for (const name of this.names([tensor])) {
      const grad = this.optimizer.grad(name);
      grad.set(values.subarray(start, start + grad.length));
      start += grad.length;
    }
  }

  param(tensor: number): Float32Array {
    return joined(this.names([tensor]).map((name) => this.optimizer.param(name)));
  }

  grad(tensor: number): Float32Array {
    return joined(this.names([tensor]).map((name) => this.optimizer.grad(name)));
  }

  /** By own name of the moment; empty where there is none. */
  moments(tensor: number, { state } = this.optimizer.stateDict()): Moments {
    const entries = this.names([tensor]).map((name) => state[name]!);
    return {
      expAvg: joined(entries.map(({ exp_avg }) => exp_avg)),
      expAvgSq: joined(entries.map(({ exp_avg_sq }) => exp_avg_sq)),
      maxExpAvgSq: joined(entries.flatMap(({ max_exp_avg_sq }) => max_exp_avg_sq ?? [])),
    };
  }

  /** @throws Error if a word of the host's memory outside all regions has changed */
  expectGuardsUntouched(): void {
    if (this.#covered.length === 0) return;
    const words = new Uint32Array(this.optimizer.memory.buffer);
    const at = words.findIndex((word, i) => this.#covered[i] === 0 && word !== pattern(i));
    if (at >= 0) throw new Error(`${this.label}: the word at ${4 * at} is ${words[at]}, expected ${pattern(at)}`);
  }
}

function pattern(at: number): number {
  return Math.imul(at + 1, 0x9e3779b1) >>> 0;
}

function pieceName(tensor: number, piece: number): string {
  return `t${tensor}.${piece}`;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    values.set(part, start);
    start += part.length;
  }
  return values;
}

/** A memory filled with a pattern and regions in it for tensors of these lengths. */
function allocate(
  lengths: readonly number[],
  place: "scattered" | "adjacent",
  seed: number,
): [WebAssembly.Memory, Placed[]] {
  const next = randomBits(seed);
  const placed = lengths.map((length) => ({ length, param: 0, grad: 0, expAvg: 0, expAvgSq: 0, maxExpAvgSq: 0 }));
  const slots = REGIONS.flatMap((region) => placed.map((pointers) => ({ region, pointers })));
  if (place === "scattered") shuffle(slots, next);
  let top = 1024 + 4 * (next() % 16);
  for (const [n, { region, pointers }] of slots.entries()) {
    const apart = place === "scattered" || n % placed.length === 0;
    if (apart) top += 4 * (1 + (next() % 19));
    pointers[region] = top;
    top += 4 * pointers.length;
  }
  const memory = new WebAssembly.Memory({ initial: Math.ceil((top + 64) / 65536) });
  const words = new Uint32Array(memory.buffer);
  for (let i = 0; i < words.length; i++) words[i] = pattern(i);
  // Gradients are the host's: what lies there at creation is a gradient, and the pattern would make a wild one.
  for (const { grad, length } of placed) words.fill(0, grad / 4, grad / 4 + length);
  return [memory, placed];
}

function shuffle<T>(list: T[], next: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = next() % (i + 1);
    const moved = list[i]!;
    list[i] = list[j]!;
    list[j] = moved;
  }
}

function coveredBy(memory: WebAssembly.Memory, placed: readonly Placed[]): Uint8Array<ArrayBuffer> {
  const covered = new Uint8Array(memory.buffer.byteLength / 4);
  for (const pointers of placed) {
    for (const region of REGIONS) covered.fill(1, pointers[region] / 4, pointers[region] / 4 + pointers.length);
  }
  return covered;
}
