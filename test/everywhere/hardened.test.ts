/** Hosts whose intrinsics are frozen, and hosts whose Object.prototype is polluted, before the package is loaded. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { on, unless } from "../support/host.js";
import { scratchInPackage } from "../support/scratch.js";

const dir = scratchInPackage();

/** Every entry point; steps alone and on two threads, state out and in, an error. Prints what it came to. */
const USE = `
  const w = new Float32Array(70000).map((_, i) => i / 1000);
  for (const threads of [1, 2]) {
    const optimizer = await AdamW.create({ w }, { threads, lr: cosine({ lr: 0.1, steps: 9 }) });
    optimizer.grad("w").set(w.map((x) => 1 - x));
    console.log(JSON.stringify([optimizer.kernel, optimizer.threads, optimizer.step(), await optimizer.stepAsync({ clipNorm: 1 })]));
    const other = Adam.createSync([{ params: { w: { shape: [70, 1000] } }, amsgrad: true }]);
    loadCheckpoint(other, encodeCheckpoint(other));
    optimizer.loadStateDict(optimizer.stateDict());
    loadCheckpoint(optimizer, encodeCheckpoint(optimizer, { params: true }));
    optimizer.paramGroups[0].weightDecay = 0.5;
    optimizer.addParamGroup({ params: { v: new Float32Array([1]) } });
    optimizer.step({ skip: ["v"], zeroGrad: true });
    console.log(optimizer.param("w").reduce((sum, x) => sum + x, 0), typeof encodeCheckpoint, typeof saveCheckpointFile);
    try { optimizer.step({ clipNorm: -1 }); } catch (error) { console.log(error.code, error.message, error instanceof RangeError); }
    optimizer.dispose();
  }
`;

const ENTRIES = {
  "fused-adam": "Adam, AdamW",
  "fused-adam/schedules": "cosine",
  "fused-adam/checkpoint": "encodeCheckpoint, loadCheckpoint",
  "fused-adam/node": "saveCheckpointFile",
};
const list = Object.entries(ENTRIES);
const ESM = list.map(([entry, names]) => `const { ${names} } = await import("${entry}");\n`).join("") + USE;
const CJS = list.map(([entry, names]) => `const { ${names} } = require("${entry}");\n`).join("");

/** ECMAScript's own and WebAssembly: engines do not all go on without writing to what else is theirs. */
const INTRINSICS =
  "Object Function Array String Number Boolean Symbol BigInt Math JSON Reflect Promise Map Set WeakMap WeakSet WeakRef Date RegExp " +
  "Error AggregateError RangeError TypeError ArrayBuffer SharedArrayBuffer DataView Float32Array Float64Array Uint8Array Int32Array " +
  "Uint32Array Atomics WebAssembly FinalizationRegistry";

/** All that can be reached from them without calling anything, frozen. */
const FREEZE = `
  const seen = new Set();
  const freeze = (value) => {
    if (value === null || !/object|function/.test(typeof value) || seen.has(value) || value === globalThis) return;
    seen.add(value);
    Object.freeze(value);
    freeze(Object.getPrototypeOf(value));
    for (const { value: inner, get, set } of Object.values(Object.getOwnPropertyDescriptors(value))) [inner, get, set].forEach(freeze);
  };
  for (const name of "${INTRINSICS}".split(" ")) freeze(globalThis[name]);
  [function* () {}, async () => {}, async function* () {}, [].values(), new Map().entries(), "".matchAll(/x/g)].forEach(freeze);
  if (!Object.isFrozen(Object) || !Object.isFrozen(Array.prototype)) throw new Error("not frozen");
`;

/** What hosts and libraries read: options of ours, fields of descriptors, imports of modules. */
const POLLUTE = `
  const names = "lr betas eps weightDecay amsgrad maximize kernel threads memory params param grad shape data clipNorm gradScale skip " +
    "zeroGrad step state initial maximum shared env abort code cause type name eval";
  for (const name of names.split(" ")) Object.prototype[name] = "polluted";
`;

function run(extension: "mjs" | "cjs", code: string, ...flags: string[]): string {
  const file = join(dir, `script.${extension}`);
  writeFileSync(file, code);
  return execFileSync(process.execPath, ["--no-warnings", ...flags, file], { encoding: "utf8" });
}

const inFunction = (code: string) => `(async () => {${code}})();`;

describe("what runs is what runs anywhere, bit for bit and error for error", () => {
  const plain = run("mjs", ESM);

  it("the script does something", () => {
    expect(plain).toMatch(/"simd",1,.*"simd",2,/s);
    expect(plain.match(/ERR_OUT_OF_RANGE "clipNorm": expected .* true/g)).toHaveLength(2);
  });

  type Row = [string, "mjs" | "cjs", string, string[]];
  const rows: Row[] = [
    ["CommonJS", "cjs", CJS + inFunction(USE), []],
    ["node --frozen-intrinsics, ESM", "mjs", ESM, ["--frozen-intrinsics"]],
    ["node --frozen-intrinsics, CommonJS", "cjs", CJS + inFunction(USE), ["--frozen-intrinsics"]],
    ["Object.prototype polluted, ESM", "mjs", POLLUTE + ESM, []],
    ["Object.prototype polluted, CommonJS", "cjs", POLLUTE + CJS + inFunction(USE), []],
  ];
  const frozen: Row[] = [
    ["everything frozen by hand, ESM", "mjs", FREEZE + ESM, []],
    ["everything frozen by hand, CommonJS", "cjs", FREEZE + CJS + inFunction(USE), []],
  ];
  const goesOn = unless(on("bun", "deno") && "the runtime itself does not go on with frozen intrinsics");
  const same = (_: string, extension: Row[1], code: string, flags: string[]) => {
    expect(run(extension, code, ...flags)).toBe(plain);
  };
  it.each(rows)("%s", same);
  it.each(frozen)("%s", goesOn, same);

  it("the global Object is itself again after the import", goesOn, () => {
    const code = `${FREEZE} const before = Object; await import("fused-adam"); console.log(before === Object, before === globalThis.Object);`;
    expect(run("mjs", code)).toBe("true true\n");
  });
});
