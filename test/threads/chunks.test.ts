/** The pure parts: how work is cut and dealt. Whatever is called, however it is cut, whoever comes when: everything once. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Program } from "../../src/kernels/program.js";
import { type Kernels, NORM_BLOCK, UPDATE_ROWS } from "../../src/kernels/table.js";
import { controlLength, deal, pulse, takeAll, workThrough } from "../../src/threads/protocol.js";
import { randomBits } from "../support/data.js";
import { runs } from "../support/fuzz.js";

/** Calls of a program. A sum where there is no row. */
const calls = fc.array(
  fc.record({
    length: fc.oneof(
      fc.nat(5),
      fc.nat(3 * NORM_BLOCK),
      fc.constantFrom(0, 1, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 40 * NORM_BLOCK, 41 * NORM_BLOCK + 7),
    ),
    row: fc.option(fc.nat(UPDATE_ROWS.length - 1)),
    flush: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
);
type Calls = typeof calls extends fc.Arbitrary<infer T> ? T : never;

const AMOUNTS = runs<unknown[]>(120);
/** So far apart that no two regions of a call meet, nor two calls. */
const REGION = 2 ** 20;
const APART = 8 * REGION;

const addressOf = (call: number, region: number) => APART * (call + 1) + REGION * region;

const REGIONS = [0, 1, 2, 3, 4];
type Addresses = [number, number, number, number, number];

function programOf(list: Calls): Program {
  const sums = list.reduce((sum, { length }) => sum + Math.ceil(length / NORM_BLOCK), 0);
  const program = new Program(new ArrayBuffer(Program.bytes(0, list.length, sums)), 0, list.length);
  program.clear();
  list.forEach(({ length, row, flush }, i) => {
    const [param, grad, expAvg, expAvgSq, maxExpAvgSq] = REGIONS.map((region) => addressOf(i, region)) as Addresses;
    if (row === null) program.sumSquares(grad, length);
    else {
      const constants = new Float32Array(9).fill(i);
      program.update(row, { param, grad, expAvg, expAvgSq, maxExpAvgSq, copy: -1 }, length, flush, constants);
    }
  });
  return program;
}

/** Counts, for each call, what is done to each of its elements, by kernel and region. */
class Ledger {
  readonly kernels: Kernels;
  readonly #counts = new Map<string, Uint8Array>();
  readonly #list: Calls;

  constructor(list: Calls) {
    this.#list = list;
    this.kernels = {
      kind: "scalar",
      update: UPDATE_ROWS.map((_, row) => (...args) => {
        const [addresses, length, constants] = [args.slice(0, 5), args[5], args.slice(6, 15)];
        const call = this.#add(`update ${row}`, 0, addresses[0]!, length);
        const offset = addresses[0]! - addressOf(call, 0);
        // Not by `expect`, which is slow where this runs a million times.
        const apart = addresses.every((address, region) => address === addressOf(call, region) + offset);
        if (!apart || constants.some((constant) => constant !== call)) throw new Error(`update ${row}: ${args}`);
      }),
      sumSquares: [
        (grad, length) => {
          const call = this.#add("sum", 1, grad, length);
          if ((grad - addressOf(call, 1)) % (4 * NORM_BLOCK) !== 0) throw new Error(`a sum from ${grad} on`);
          // A value of its own for each block, so that one in another's place shows.
          return 1 / (1 + grad) + length;
        },
      ],
      flush: [
        (ptr, length) => {
          const region = Math.floor((ptr % APART) / REGION);
          this.#add(`flush ${region}`, region, ptr, length);
        },
      ],
      copy: [],
    };
  }

  /** @returns which call it is about */
  #add(what: string, region: number, address: number, length: number): number {
    const call = Math.floor(address / APART) - 1;
    const from = (address - addressOf(call, region)) / 4;
    const key = `${call} ${what}`;
    const counts = this.#counts.get(key) ?? new Uint8Array(this.#list[call]!.length);
    this.#counts.set(key, counts);
    if (!Number.isInteger(from) || from < 0 || from + length > counts.length) {
      throw new Error(`${key}: ${length} elements from ${from} on`);
    }
    for (let at = from; at < from + length; at++) counts[at]! += 1;
    return call;
  }

  /** @throws if an element of a call was left out or met twice, or anything was done that no call is about */
  expectOnce(): void {
    const expected = new Set<string>();
    for (const [i, { length, row, flush }] of this.#list.entries()) {
      if (length === 0) continue;
      expected.add(row === null ? `${i} sum` : `${i} update ${row}`);
      if (row === null || !flush) continue;
      for (const region of UPDATE_ROWS[row]!.amsgrad ? [2, 3, 4] : [2, 3]) expected.add(`${i} flush ${region}`);
    }
    const met = [...this.#counts].filter(([, counts]) => counts.length > 0).map(([key]) => key);
    expect(met.sort()).toEqual([...expected].sort());
    for (const [key, counts] of this.#counts) {
      const at = counts.findIndex((count) => count !== 1);
      if (at >= 0) throw new Error(`${key}: element ${at} of ${counts.length} was met ${counts[at]} times`);
    }
  }
}

describe("a program", () => {
  it("run does every element of every call once, with its own constants: 120 random programs", () => {
    fc.assert(
      fc.property(calls, (list) => {
        const ledger = new Ledger(list);
        programOf(list).run(ledger.kernels);
        ledger.expectOnce();
      }),
      AMOUNTS,
    );
  });

  it("runChunks does as run does, partial sums included, cut in any way and shared out in any way: 120 random programs", () => {
    const cut = fc.record({
      list: calls,
      blocks: fc.integer({ min: 1, max: 20 }),
      takers: fc.integer({ min: 1, max: 9 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(cut, ({ list, blocks, takers, seed }) => {
        const [program, whole] = [programOf(list), programOf(list)];
        const size = blocks * NORM_BLOCK;
        const chunks = program.chunks(size);
        expect(chunks).toBe(list.reduce((sum, { length }) => sum + Math.ceil(length / size), 0));
        // Every chunk to someone: what any interleaving of takers comes to, each with numbers that rise.
        const shares = Array.from({ length: takers }, (): number[] => []);
        const next = randomBits(seed);
        for (let chunk = 0; chunk < chunks; chunk++) shares[next() % takers]!.push(chunk);
        const ledger = new Ledger(list);
        for (const share of shares.reverse()) {
          program.runChunks(ledger.kernels, size, () => share.shift() ?? chunks, chunks);
        }
        ledger.expectOnce();
        whole.run(new Ledger(list).kernels);
        expect(program.total()).toBe(whole.total());
        expect(program.sums).toBe(whole.sums);
      }),
      AMOUNTS,
    );
  });
});

describe("shares", () => {
  const jobs = fc.record({
    threads: fc.integer({ min: 1, max: 9 }),
    present: fc.nat(),
    jobs: fc.array(fc.nat(100), { minLength: 1, maxLength: 4 }),
    seed: fc.nat(),
  });

  it("every chunk is handed out once, to each in rising order, as long as one comes: 120 random schedules of up to 4 jobs", () => {
    fc.assert(
      fc.property(jobs, ({ threads, present, jobs, seed }) => {
        const control = new Int32Array(new SharedArrayBuffer(4 * controlLength(threads)));
        const next = randomBits(seed);
        for (const chunks of jobs) {
          deal(control, threads, chunks);
          // Some of the threads, and always the first.
          const active = Array.from({ length: threads }, (_, me) => me).filter((me) => me === 0 || (present >> me) & 1);
          const takers = active.map((me) => {
            const shares: [() => number, number][] = [];
            workThrough(control, me, chunks, (take, end) => shares.push([take, end]));
            expect(shares.length).toBe(threads);
            return shares;
          });
          const seen = new Uint8Array(chunks);
          const last = new Map<unknown, number>();
          // One look at a counter at a time, whoever's turn it is.
          for (let busy = takers; busy.length > 0; busy = busy.filter((shares) => shares.length > 0)) {
            const shares = busy[next() % busy.length]!;
            const [take, end] = shares[0]!;
            const before = pulse(control);
            const chunk = take();
            if (pulse(control) === before) throw new Error("nothing shows that a chunk was asked for");
            if (chunk >= end) {
              shares.shift();
              continue;
            }
            seen[chunk]! += 1;
            if (chunk <= (last.get(take) ?? -1)) throw new Error(`chunk ${chunk} after ${last.get(take)}`);
            last.set(take, chunk);
          }
          expect(seen.findIndex((count) => count !== 1)).toBe(-1);
        }
      }),
      AMOUNTS,
    );
  });

  it("after takeAll nothing is left, in the middle of any job: 120 random ones", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(100), fc.nat(50), (threads, chunks, taken) => {
        const control = new Int32Array(new SharedArrayBuffer(4 * controlLength(threads)));
        deal(control, threads, chunks);
        const left = () => {
          const all: number[] = [];
          for (let me = 0; me < threads; me++) {
            workThrough(control, me, chunks, (take, end) => {
              for (let chunk = take(); chunk < end && all.length < taken; chunk = take()) all.push(chunk);
            });
          }
          return all;
        };
        left();
        takeAll(control);
        expect(left()).toEqual([]);
      }),
      AMOUNTS,
    );
  });
});
