/**
 * Files that are well-formed at the surface and wrong beneath: edits of the header's tree, of the JSON inside its metadata and of the data,
 * under a checksum that holds. Each is refused whole, or loads, and then the optimizer has what the file says.
 */
import fc from "fast-check";
import { type CheckpointReport, encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { readSafetensors } from "fused-adam/safetensors";
import { expect, test } from "vitest";
import { firstDifference } from "../support/bits.js";
import { runs } from "../support/fuzz.js";
import { on, ranInVitest, unless } from "../support/host.js";
import { fileOf, signed, snapshot, split, stepped, tiny, typedError, unchanged } from "./support.js";

/** JSON as a tree that can also hold what JavaScript's values cannot: a key twice, any order, any number. `inner` is JSON in a string. */
type Tree = { raw: string } | { inner: Tree } | { items: Tree[] } | { members: [key: string, value: Tree][] };

function treeOf(value: unknown): Tree {
  if (typeof value === "string" && /^[[{]/.test(value)) return { inner: treeOf(JSON.parse(value)) };
  if (Array.isArray(value)) return { items: value.map(treeOf) };
  if (typeof value !== "object" || value === null) return { raw: JSON.stringify(value) };
  return { members: Object.entries(value).map(([name, member]) => [name, treeOf(member)]) };
}

function textOf(tree: Tree): string {
  if ("raw" in tree) return tree.raw;
  if ("inner" in tree) return JSON.stringify(textOf(tree.inner));
  if ("items" in tree) return `[${tree.items.map(textOf).join(",")}]`;
  return `{${tree.members.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(",")}}`;
}

/** Places of a tree where a value stands. */
type Slot = { list: Tree[]; i: number } | { members: [string, Tree][]; i: number };

function slotsOf(tree: Tree): Slot[] {
  if ("raw" in tree) return [];
  if ("inner" in tree) return slotsOf(tree.inner);
  if ("items" in tree) return tree.items.flatMap((item, i) => [{ list: tree.items, i }, ...slotsOf(item)]);
  return tree.members.flatMap(([, value], i) => [{ members: tree.members, i }, ...slotsOf(value)]);
}

const get = (slot: Slot): Tree => ("list" in slot ? slot.list[slot.i]! : slot.members[slot.i]![1]);
const set = (slot: Slot, value: Tree): void => {
  if ("list" in slot) slot.list[slot.i] = value;
  else slot.members[slot.i]![1] = value;
};

const hasKeyTwice = (tree: Tree): boolean => {
  if ("raw" in tree) return false;
  if ("inner" in tree) return hasKeyTwice(tree.inner);
  if ("items" in tree) return tree.items.some(hasKeyTwice);
  const keys = tree.members.map(([key]) => key);
  return new Set(keys).size < keys.length || tree.members.some(([, value]) => hasKeyTwice(value));
};

const more = {
  metadata: { epoch: "7" },
  tensors: { mean: { shape: [3, 1], data: Float32Array.of(1, -0, 2 ** -149) } },
};
const original = encodeCheckpoint(stepped(tiny()), more);
const { header, data } = split(original);

/** Numbers at the edges of what is legal, types, names, and what is none of them. */
const RAW = [
  ...[
    "0",
    "1",
    "2",
    "4",
    "16",
    "-1",
    "-0",
    "0.5",
    "1e-3",
    "1e400",
    "9007199254740991",
    "9007199254740992",
    "1E0",
    "0.25",
    "03",
    "NaN",
  ],
  ...[
    "true",
    "false",
    "null",
    '""',
    '"w"',
    '"é"',
    '"F32"',
    '"F64"',
    '"BF16"',
    '"F8_NEW"',
    '"1"',
    '"2"',
    '"fused-adam"',
    '"[]"',
    '"{}"',
    '"simd"',
  ],
  ...["[]", "{}", "[0,0]", "[1]", "[4]", "[2,2]", "[1,4]", "[0,16]", '["w"]', '["é"]', '["w","é"]', "[[]]", '{"w":3}'],
];
const KEYS = [
  ...Object.keys(header),
  ...Object.keys(header.__metadata__),
  ...Object.keys(header.w),
  ...Object.keys(JSON.parse(header.__metadata__.param_groups)[0]),
  ...["", "x", "w.max_exp_avg_sq", "é.x", "__proto__", "constructor", "decoupled_weight_decay"],
];
const FLOATS = [0, -0, 1, -1, 2 ** -149, -(2 ** -149), 3.4e38, Number.NaN, Infinity, -Infinity];

type Apply = (slot: Slot, other: Slot, edit: Edit, file: File) => void;
const listOf = (slot: Slot): unknown[] => ("list" in slot ? slot.list : slot.members);
const copyOf = (slot: Slot) => structuredClone(get(slot));

const EDITS = {
  replace: (slot, _, { value }) => set(slot, { raw: RAW[value % RAW.length]! }),
  remove: (slot) => void listOf(slot).splice(slot.i, 1),
  double: (slot) => void listOf(slot).splice(slot.i, 0, structuredClone(listOf(slot)[slot.i])),
  rename: (slot, _, { value }) => {
    if ("members" in slot) slot.members[slot.i]![0] = KEYS[value % KEYS.length]!;
  },
  swap: (slot, other) => {
    const [a, b] = [copyOf(slot), copyOf(other)];
    set(slot, b);
    set(other, a);
  },
  copy: (slot, other) => set(slot, copyOf(other)),
  move: (slot, _, { to }) => {
    const list = listOf(slot);
    list.splice(to % list.length, 0, ...list.splice(slot.i, 1));
  },
  count: (slot, _, { value }) => {
    const tree = get(slot);
    if ("raw" in tree && /^\d+$/.test(tree.raw)) tree.raw = String(Number(tree.raw) + [1, -1, 4, -4, 16][value % 5]!);
  },
  float: (_, __, { at, value }, file) => {
    const floats = new Float32Array(Uint8Array.from(file.bytes.subarray(0, file.bytes.length & ~3)).buffer);
    if (floats.length > 0) floats[at % floats.length] = FLOATS[value % FLOATS.length]!;
    file.bytes = Uint8Array.of(...new Uint8Array(floats.buffer), ...file.bytes.subarray(floats.byteLength));
  },
  bytes: (_, __, { at, value }, file) => {
    const { bytes } = file;
    file.bytes = value % 2 ? bytes.subarray(0, at % (bytes.length + 1)) : Uint8Array.of(...bytes, at & 255);
  },
} satisfies Record<string, Apply>;

interface Edit {
  readonly kind: keyof typeof EDITS;
  readonly at: number;
  readonly to: number;
  readonly value: number;
}

interface File {
  readonly tree: Tree;
  bytes: Uint8Array;
}

function apply(edit: Edit, file: File): void {
  const slots = slotsOf(file.tree);
  const pick = (n: number) => slots[n % slots.length]!;
  const run: Apply = EDITS[edit.kind];
  if (slots.length > 0) run(pick(edit.at), pick(edit.to), edit, file);
}

const victim = tiny();
const initial = snapshot(victim);
const fresh = encodeCheckpoint(victim, { params: true });

/** That the optimizer has what a file says, read by `JSON.parse`; of a partial load, what it says that it has loaded. */
function expectToHave(text: string, bytes: Uint8Array, report: CheckpointReport, partial: boolean): void {
  const { __metadata__: metadata } = JSON.parse(text);
  const steps = JSON.parse(metadata.steps);
  const groups: Record<string, unknown>[] = JSON.parse(metadata.param_groups);
  const { tensors } = readSafetensors(bytes);
  for (const [name, values] of Object.entries(report.tensors)) {
    if (firstDifference(values, tensors[name]!.toFloat32()) >= 0) throw new Error(`${name}: not what the file has`);
  }
  const own = JSON.stringify(JSON.parse(metadata.metadata ?? "{}"));
  if (JSON.stringify(report.metadata) !== own) throw new Error("metadata: not what the file has");
  const { state, param_groups } = victim.stateDict();
  for (const name of victim.names) {
    const { step, exp_avg, exp_avg_sq, max_exp_avg_sq } = state[name]!;
    const moments = { ".exp_avg": exp_avg, ".exp_avg_sq": exp_avg_sq, ".max_exp_avg_sq": max_exp_avg_sq };
    if (!report.loaded.includes(name)) {
      const untouched =
        step === 0 && Object.values(moments).every((values) => values?.every((x) => Object.is(x, 0)) ?? true);
      if (!partial || !untouched) throw new Error(`${name}: neither loaded nor at its start`);
      continue;
    }
    const has = { ...moments, ...(report.params ? { "": victim.param(name) } : {}) };
    const wrong = Object.entries(has).filter(([key, values]) => {
      return values !== undefined && firstDifference(values, tensors[name + key]!.toFloat32()) >= 0;
    });
    if (wrong.length > 0 || step !== steps[name]) throw new Error(`${name}: not what the file says`);
  }
  if (partial) return;
  // By their parameters: the order of groups means nothing.
  for (const { params, ...hyper } of param_groups) {
    const group = groups.find((each) => JSON.stringify(each.params) === JSON.stringify(params))!;
    for (const [key, value] of Object.entries(hyper)) {
      if (key in group && JSON.stringify(group[key]) !== JSON.stringify(value))
        throw new Error(`${key}: not what the file says`);
    }
  }
  if (groups.length !== param_groups.length) throw new Error("more groups than there are");
}

const edit = fc.record<Edit>({
  kind: fc.constantFrom(...(Object.keys(EDITS) as Edit["kind"][])),
  at: fc.nat(9999),
  to: fc.nat(9999),
  value: fc.nat(9999),
});
const CHECKSUMS = ["holds", "holds", "holds", "none", "stale"] as const;

const slow = !on("vitest", "bun") && ranInVitest("takes a minute without Node's Buffer, and was run in V8");

test("10,000 files: a typed error and nothing changed, or what the file says", unless(slow), () => {
  const codes = new Map<string, number>();
  const count = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 3 }),
      fc.constantFrom(...CHECKSUMS),
      fc.boolean(),
      (edits, checksum, partial) => {
        const file: File = { tree: treeOf(header), bytes: data };
        for (const each of edits) apply(each, file);
        const text = textOf(file.tree);
        let bytes = fileOf(
          checksum === "none" ? text.replace(/"checksum":"xxh32:[0-9a-f]{8}",?/, "") : text,
          file.bytes,
        );
        if (checksum === "holds" && text.includes("xxh32:")) bytes = signed(bytes);

        const unreadable = typedError(() => readSafetensors(bytes));
        let report: CheckpointReport | undefined;
        const error = typedError(() => {
          report = loadCheckpoint(victim, bytes, { partial });
        });
        count(error?.code ?? "loaded");
        if (error !== undefined) return unchanged(victim, initial);
        try {
          if (unreadable !== undefined) throw new Error(`loads, but cannot be read: ${unreadable.message}`);
          if (hasKeyTwice(file.tree)) throw new Error("loads, with a key twice");
          if (checksum === "stale" && text.includes('"checksum"'))
            throw new Error("loads, with another file's checksum");
          expectToHave(text, bytes, report!, partial);
        } finally {
          loadCheckpoint(victim, fresh);
        }
        return unchanged(victim, initial);
      },
    ),
    runs(10_000),
  );
  // The edits reach every check there is, and not only the first.
  const reached = ["CHECKPOINT", "CHECKSUM", "STATE_MISMATCH", "SHAPE_MISMATCH", "NON_FINITE", "OUT_OF_RANGE"].map(
    (code) => `ERR_${code}`,
  );
  expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(reached));
  const tried = [...codes.values()].reduce((sum, n) => sum + n, 0);
  expect(codes.get("loaded")! / tried).toBeGreaterThan(0.05);
  expect(codes.get("loaded")! / tried).toBeLessThan(0.6);
});
