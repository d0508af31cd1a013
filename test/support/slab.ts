import { isNaNBits, showFloat } from "./bits.js";

/** Kernels are compiled with addresses below 1024 unused. */
const FIRST = 1024 / 4;
const LINE = 16;
/** Untouchable elements between neighbouring buffers, at least. */
const GUARD = 32;

export interface Region {
  readonly name: string;
  readonly address: number;
  /** In the memory that kernels run on. */
  readonly actual: Float32Array;
  /** In the image of what that memory should hold. */
  readonly expected: Float32Array;
}

/**
 * A linear memory filled with a pattern, and beside it the image of what it should hold. After every call the two are
 * compared as a whole, so every byte that a kernel was not given is a guard.
 */
export class Slab {
  readonly memory: WebAssembly.Memory;
  readonly #actual: Uint32Array;
  readonly #expected: Uint32Array;
  readonly #pattern: Uint32Array;
  #top = FIRST;
  #regions: Region[] = [];

  constructor(memory = new WebAssembly.Memory({ initial: 1 })) {
    this.memory = memory;
    this.#actual = new Uint32Array(memory.buffer);
    this.#expected = new Uint32Array(this.#actual.length);
    this.#pattern = this.#expected.map((_, i) => Math.imul(i + 1, 0x9e3779b1));
    this.reset();
  }

  /** Forgets all regions and fills memory and image with the pattern. */
  reset(): void {
    this.#actual.set(this.#pattern);
    this.#expected.set(this.#pattern);
    this.#top = FIRST;
    this.#regions = [];
  }

  /** A buffer that starts `shift` elements into a 64-byte line and holds `values`, here and in the image. */
  place(name: string, values: Float32Array, shift: number): Region {
    const start = Math.ceil((this.#top + GUARD) / LINE) * LINE + shift;
    this.#top = start + values.length;
    if (this.#top + GUARD > this.#actual.length) throw new Error(`${name}: no room for ${values.length} elements`);
    const region = {
      name,
      address: 4 * start,
      actual: new Float32Array(this.memory.buffer, 4 * start, values.length),
      expected: new Float32Array(this.#expected.buffer, 4 * start, values.length),
    };
    region.actual.set(values);
    region.expected.set(values);
    this.#regions.push(region);
    return region;
  }

  /**
   * @param written regions that were computed: there, and only there, any NaN equals any other
   * @throws Error that names the first differing word and both values
   */
  expectAsImagined(label: string, written: readonly Region[]): void {
    for (const { actual, expected } of written) {
      canonicalize(actual);
      canonicalize(expected);
    }
    const [a, b] = [this.#actual, this.#expected];
    if (Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0) return;
    const i = a.findIndex((word, at) => word !== b[at]);
    const float = (words: Uint32Array) => showFloat(new Float32Array(words.buffer, 4 * i, 1)[0]);
    throw new Error(`${label}: ${this.#where(4 * i)} is ${float(a)}, expected ${float(b)}`);
  }

  #where(address: number): string {
    for (const { name, address: start, actual } of this.#regions) {
      if (address < start) return `the word ${(start - address) / 4} before ${name}[0]`;
      if (address < start + 4 * actual.length) return `${name}[${(address - start) / 4}] of ${actual.length}`;
    }
    return `the word at ${address}, behind all buffers`;
  }
}

function canonicalize(values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) if (isNaNBits(bits[i]!)) bits[i] = 0x7fc00000;
}
