import fc from "fast-check";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { runs } from "../support/fuzz.js";
import { on, ranInVitest, unless } from "../support/host.js";
import { snapshot, stepped, tiny, typedError, unchanged } from "./support.js";

const good = encodeCheckpoint(stepped(tiny()), { params: true });
const loaded = stepped(tiny());
const before = snapshot(loaded);
const victim = tiny();
const initial = snapshot(victim);

/** Never anything between: refused, and nothing has changed; or the very file that was saved. */
function refusedOrExact(bytes: Uint8Array): boolean {
  const error = typedError(() => loadCheckpoint(victim, bytes));
  if (error !== undefined) return unchanged(victim, initial);
  const exact = unchangedState();
  loadCheckpoint(victim, fresh);
  return exact && unchanged(victim, initial);
}

const fresh = encodeCheckpoint(victim, { params: true });

function unchangedState(): boolean {
  return Buffer.from(encodeCheckpoint(victim, { params: true })).equals(good);
}

test("the whole file loads", () => {
  const optimizer = tiny();
  loadCheckpoint(optimizer, good);
  optimizer.names.forEach((name) => {
    optimizer.grad(name).set(loaded.grad(name));
  });
  expect(unchanged(optimizer, before)).toBe(true);
});

test("every truncation is refused, and every single byte too many", () => {
  for (let length = 0; length < good.length; length++) {
    expect(
      typedError(() => loadCheckpoint(victim, good.subarray(0, length))),
      `${length} bytes`,
    ).toBeDefined();
  }
  for (let byte = 0; byte < 256; byte++) {
    expect(
      typedError(() => loadCheckpoint(victim, Uint8Array.of(...good, byte))),
      `+ ${byte}`,
    ).toBeDefined();
  }
  expect(unchanged(victim, initial)).toBe(true);
});

test("every single flipped bit is refused, with a typed error", () => {
  const codes = new Map<string, number>();
  for (let bit = 0; bit < 8 * good.length; bit++) {
    const bytes = Uint8Array.from(good);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const error = typedError(() => loadCheckpoint(victim, bytes));
    expect(error, `bit ${bit}`).toBeDefined();
    codes.set(error!.code, (codes.get(error!.code) ?? 0) + 1);
  }
  expect(unchanged(victim, initial)).toBe(true);
  expect([...codes.keys()].sort()).toEqual(["ERR_CHECKPOINT", "ERR_CHECKSUM"]);
});

type Edit = (bytes: Uint8Array) => Uint8Array;
const at = fc.integer({ min: 0, max: good.length - 1 });
const span = fc.integer({ min: 1, max: 24 });

function splice(bytes: Uint8Array, start: number, count: number, inserted: Uint8Array = new Uint8Array()): Uint8Array {
  return Buffer.concat([bytes.subarray(0, start), inserted, bytes.subarray(start + count)]);
}

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(at, fc.nat(7)).map(
    ([i, bit]): Edit =>
      (bytes) =>
        splice(bytes, i, 1, Uint8Array.of(bytes[i]! ^ (1 << bit))),
  ),
  fc.tuple(at, fc.nat(255)).map(
    ([i, value]): Edit =>
      (bytes) =>
        splice(bytes, i, 1, Uint8Array.of(value)),
  ),
  fc.tuple(at, fc.constantFrom(...Buffer.from('0123456789{}[]",:. eE-+\\'))).map(
    ([i, char]): Edit =>
      (bytes) =>
        splice(bytes, i, 1, Uint8Array.of(char)),
  ),
  fc.tuple(at, span).map(
    ([i, count]): Edit =>
      (bytes) =>
        splice(bytes, i, count),
  ),
  fc.tuple(at, at, span, fc.boolean()).map(
    ([to, from, count, over]): Edit =>
      (bytes) =>
        splice(bytes, to, over ? count : 0, bytes.subarray(from, from + count)),
  ),
  at.map(
    (length): Edit =>
      (bytes) =>
        bytes.subarray(0, length),
  ),
);

const slow = !on("vitest", "bun") && ranInVitest("takes a minute without Node's Buffer, and was run in V8");

test("20,000 random mutations: a typed error and nothing changed, or the exact state", unless(slow), () => {
  let [tried, refused] = [0, 0];
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const bytes = edits.reduce((mutated, mutate) => mutate(mutated), good as Uint8Array);
      tried++;
      if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).equals(good)) refused++;
      return refusedOrExact(bytes);
    }),
    runs(20_000),
  );
  expect(refused / tried).toBeGreaterThan(0.95);
});

describe("failure at the k-th tensor leaves everything bit-identical", () => {
  const names = ["w", "w.exp_avg", "w.exp_avg_sq", "é", "é.exp_avg", "é.exp_avg_sq", "é.max_exp_avg_sq"];
  test.each(names)("%s", async (name) => {
    const { edited } = await import("./support.js");
    const optimizer = stepped(tiny(), 5);
    const state = snapshot(optimizer);
    const last = (header: Record<string, { data_offsets: number[] }>) => header[name]!.data_offsets[1]! / 4 - 1;
    const files = [
      edited(stepped(tiny()), (header, data) => {
        data[last(header)] = Number.NaN;
      }),
      edited(stepped(tiny()), (header, data) => {
        data[last(header)] = -Infinity;
      }),
      edited(stepped(tiny()), (header) => {
        header[name].dtype = "I32";
      }),
      edited(stepped(tiny()), (header) => header[name].shape.push(1)),
      edited(stepped(tiny()), (header) => {
        header[`${name}_`] = header[name];
        delete header[name];
      }),
    ];
    if (name.endsWith("_sq"))
      files.push(
        edited(stepped(tiny()), (header, data) => {
          data[last(header)] = -1;
        }),
      );
    for (const bytes of files) {
      const error = typedError(() => loadCheckpoint(optimizer, bytes));
      expect(error?.message).toContain(name);
      expect(unchanged(optimizer, state)).toBe(true);
    }
  });
});
