/** The raw modules: what their bytes promise. */
import { describe, expect, it } from "vitest";
import { HEX as HALF_RELAXED } from "../../src/generated/half-relaxed.js";
import { HEX as HALF_SIMD } from "../../src/generated/half-simd.js";
import { SHARED_IMPORT, UNSHARED_IMPORT } from "../../src/generated/modules.js";
import { HEX as RELAXED } from "../../src/generated/relaxed.js";
import { HEX as SIMD } from "../../src/generated/simd.js";
import { FORMAT_ROWS } from "../../src/kernels/rows.js";
import { UPDATE_ROWS } from "../../src/kernels/table.js";
import { MODULE_NAMES, wasmBytes } from "../support/wasm.js";
import { partsOf } from "../support/wat.js";

describe.each(MODULE_NAMES)("%s", (name) => {
  const parts = partsOf(wasmBytes(name));
  const half = name.startsWith("half");
  const list = (kind: string) => parts.filter((part) => part.startsWith(` (${kind} `));

  it("has types, one import, exports and functions, and nothing else: no data, start, global, memory, custom section", () => {
    const kinds = parts.map((part) => /^ (\S+)/.exec(part)![1]);
    expect([...new Set(kinds)]).toEqual(["(type", "(import", "(export", "(func"]);
    expect(list("import")).toHaveLength(1);
  });

  it("imports env.memory, and any memory of its kind links", () => {
    // A shared memory must declare a maximum; 65536 pages are all there can be.
    const limits = name.endsWith("-shared") ? "0 65536 shared" : "0";
    expect(list("import")[0]).toMatch(new RegExp(`^ \\(import "env" "memory" \\(memory \\S+ ${limits}\\)\\)$`));
  });

  it("exports the update rows, the passes and is_relaxed, and no memory; plain rows that are not float32 are the scaled ones", () => {
    const ofHalf = ["sum_squares_float16", "sum_squares_bfloat16", "flush_bfloat16", "copy_float16", "copy_bfloat16"];
    const passes = ["sum_squares", "flush", ...(half ? ofHalf : [])];
    const exported = list("export").map((part) => / "(\w+)" \(func (\S+)\)/.exec(part)!.slice(1));
    expect(exported.map(([name]) => name).sort()).toEqual(
      [...(half ? FORMAT_ROWS : UPDATE_ROWS).map((row) => row.name), ...passes, "is_relaxed"].sort(),
    );
    const functionOf = new Map(exported as [string, string][]);
    const scaled = (row: string) => row.replace(/^(l2|decoupled)(_amsgrad)?(?=_b?float16|$)/, "$&_scaled");
    const plain = [...functionOf.keys()].filter((row) => /_b?float16/.test(row) && functionOf.has(scaled(row)));
    const twins = plain.filter((row) => scaled(row) !== row);
    expect(twins).toHaveLength(half ? 20 : 0);
    for (const row of twins) expect(functionOf.get(row)).toBe(functionOf.get(scaled(row)));
    expect(new Set(functionOf.values()).size).toBe(exported.length - twins.length);
  });

  it("multiplies and divides; fuses both with an addition only if it is relaxed", () => {
    const used = new Set(list("func").flatMap((part) => part.match(/f32x4\.\w+/g) ?? []));
    expect([...used]).toEqual(expect.arrayContaining(["f32x4.mul", "f32x4.div"]));
    expect(used.has("f32x4.relaxed_madd")).toBe(name.includes("relaxed"));
  });
});

it("what is inlined in the package is what lies in fused-adam/wasm; a shared module differs in its import alone", () => {
  for (const [kind, hex] of [
    ["simd", SIMD],
    ["relaxed", RELAXED],
    ["half-simd", HALF_SIMD],
    ["half-relaxed", HALF_RELAXED],
  ] as const) {
    expect(hex, kind).toBe(Buffer.from(wasmBytes(kind)).toString("hex"));
    expect(hex.split(UNSHARED_IMPORT), kind).toHaveLength(2);
    const shared = hex.replace(UNSHARED_IMPORT, SHARED_IMPORT);
    expect(shared, kind).toBe(Buffer.from(wasmBytes(`${kind}-shared`)).toString("hex"));
  }
});
