/** What docs/kernels.md and docs/adding-a-kernel.md say about kernels, held against the compiler. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { UpdateKernel, UpdateRow } from "../../src/kernels/table.js";
import { expectSameBits } from "../support/bits.js";
import { wild } from "../support/data.js";
import { blocksOf, recipe } from "../support/markdown.js";
import { root } from "../support/root.js";
import { scratchInPackage } from "../support/scratch.js";
import { wasmBytes } from "../support/wasm.js";
import { partsOf } from "../support/wat.js";

/** A copy of the sources, in which the page's changes are made. */
const copy = scratchInPackage();

/** The compiler takes some seconds, and waits its turn on a machine that runs other tests. */
const MINUTES = 180_000;

beforeAll(async () => {
  for (const path of ["assembly", "src", "test/reference.ts", "test/kernels/kernels.test.ts", "asconfig.json"]) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  for (const { code } of blocksOf("docs/adding-a-kernel.md").filter(({ language }) => language === "diff")) {
    const [first, ...lines] = code.split("\n");
    apply(first!.replace(/^# /, ""), lines.join("\n").split("\n …\n"));
  }
  const { exportsOf, readTable } = await import(join(root, "scripts/kernels.mjs"));
  mkdirSync(join(copy, "build/assembly"), { recursive: true });
  writeFileSync(join(copy, "build/assembly/index.ts"), exportsOf(await readTable(copy), false, "../../assembly"));
  const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
  const flags = [
    "build/assembly/index.ts",
    "--target",
    "unshared",
    "--enable",
    "simd",
    "--outFile",
    "simd.wasm",
    "--textFile",
    "simd.wat",
  ];
  execFileSync(process.execPath, [asc, ...flags], { cwd: copy });
}, MINUTES);

/** Replaces what stands in the file, once, by what shall stand there. */
function apply(file: string, hunks: readonly string[]): void {
  const path = join(copy, file);
  for (const hunk of hunks) {
    const lines = hunk.replace(/\n$/, "").split("\n");
    const side = (sign: string) =>
      lines
        .filter((line) => line[0] !== sign)
        .map((line) => `${line.slice(1)}\n`)
        .join("");
    const parts = readFileSync(path, "utf8").split(side("+"));
    expect(parts, `${file} has once:\n${side("+")}`).toHaveLength(2);
    writeFileSync(path, parts.join(side("-")));
  }
}

describe("docs/kernels.md", () => {
  it("the loop of decoupled does these instructions in this order, each part four times, m and v two and two", () => {
    const parts = recipe("docs/kernels.md", "decoupled").replace(/;;.*/g, "").split("\n\n").map(operations);
    const [before, g, m, v, root] = parts as [string[], string[], string[], string[], string[]];
    const moments = [m, m, v, v];
    const order = [before, before, before, before, g, g, g, g, ...moments, ...moments, root, root, root, root];
    const text = readFileSync(join(copy, "simd.wat"), "utf8");
    const [, kernel] = /\(func \$build\/assembly\/index\/decoupled (.*?)\n(?: \(func |\))/s.exec(text)!;
    const [, turn] = /\n +loop (.*?)\n +loop /s.exec(kernel!)!;
    expect(operations(turn!)).toEqual(order.flat());
  });
});

describe("docs/kernels.md, stepping through a kernel", () => {
  it(
    "the debug build takes the same step as the release build, and its source map has the kernels' sources",
    () => {
      execFileSync(process.execPath, [join(root, "scripts/build.mjs"), "--debug"], { cwd: root });
      const code = recipe("docs/kernels.md", "debug");
      writeFileSync(join(copy, "debug.mjs"), code.replace("build/wasm", join(root, "build/wasm")));
      writeFileSync(
        join(copy, "release.mjs"),
        code.replace("{ module }", "{}").replace(/"build.*"/, `"${join(root, "dist/wasm/simd.wasm")}"`),
      );
      const run = (script: string) => execFileSync(process.execPath, [script], { cwd: copy, encoding: "utf8" });
      expect(run("debug.mjs")).toBe(run("release.mjs"));

      const module = new WebAssembly.Module(readFileSync(join(root, "build/wasm/debug.wasm")));
      const [section] = WebAssembly.Module.customSections(module, "sourceMappingURL");
      const url = Buffer.from(section!).toString();
      const map = JSON.parse(Buffer.from(url.slice(url.indexOf("base64,") + 7), "base64").toString());
      for (const file of ["assembly/adam.ts", "assembly/sweep.ts", "build/assembly/index.ts"]) {
        const text = map.sourcesContent[map.sources.indexOf(file)];
        expect(text, file).toBe(readFileSync(join(root, file), "utf8"));
      }
    },
    MINUTES,
  );
});

function operations(wat: string): string[] {
  return [...(wat.match(/\b(v128|f32x4)\.(?!splat)\w+/g) ?? [])];
}

describe("docs/adding-a-kernel.md", () => {
  it("four exports that the module then has; every other kernel has the instructions it had", async () => {
    const [before, after] = [wasmBytes("simd"), readFileSync(join(copy, "simd.wasm"))];
    const names = (bytes: BufferSource) =>
      WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map(({ name }) => name);
    const added = ["l2", "l2_amsgrad", "decoupled", "decoupled_amsgrad"].map((name) => `${name}_clamped`);
    expect(names(after).sort()).toEqual([...names(before), ...added].sort());
    expect(bodies(after)).toEqual(expect.arrayContaining(bodies(before)));
  });

  it("the new kernel, the new TypeScript and the new reference: the same bits, 3 steps of 100 wild elements", async () => {
    const { UPDATE_ROWS } = await table();
    const { scalarKernels } = await import(join(copy, "src/kernels/scalar.ts"));
    const { referenceStep } = await import(join(copy, "test/reference.ts"));
    const { stepConstants } = await import(join(copy, "src/optimizer/stepConstants.ts"));
    const hyper = { lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, maximize: false, biasCorrection: true };
    const limit = 0.5;
    const constants = new Float32Array(9);
    const regions = ["param", "grad", "expAvg", "expAvgSq"] as const;
    const values = regions.map((name, i) => (name === "expAvgSq" ? wild(100, i).map(Math.abs) : wild(100, i)));

    const run = (kernel: UpdateKernel, memory: WebAssembly.Memory) => {
      const views = values.map((initial, i) => {
        const view = new Float32Array(memory.buffer, 1024 * (i + 1), 100);
        view.set(initial);
        return view;
      });
      for (let step = 1; step <= 3; step++) {
        stepConstants(constants, hyper, false, hyper.lr, hyper.weightDecay, step, limit);
        kernel(1024, 2048, 3072, 4096, 0, 100, ...(Array.from(constants) as Constants));
      }
      return views;
    };
    const memory = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(readFileSync(join(copy, "simd.wasm")));
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    const compiled = run(instance.exports.decoupled_clamped as UpdateKernel, memory);
    const heap = new WebAssembly.Memory({ initial: 1 });
    const row = UPDATE_ROWS.findIndex(({ name }) => name === "decoupled_clamped");
    const interpreted = run(scalarKernels(heap).update[row], heap);

    const [param, grad, expAvg, expAvgSq] = values.map((initial) => initial.slice());
    const state = { param, grad, expAvg, expAvgSq, maxExpAvgSq: new Float32Array(100), step: 0 };
    const options = { ...hyper, mode: "adamw", amsgrad: false, clamp: true };
    for (let step = 1; step <= 3; step++) referenceStep(state, options, limit);
    regions.forEach((name, i) => {
      expectSameBits(`${name}, SIMD`, compiled[i]!, state[name]!);
      expectSameBits(`${name}, TypeScript`, interpreted[i]!, state[name]!);
    });
  });
});

type Constants = [number, number, number, number, number, number, number, number, number];

async function table(): Promise<{ UPDATE_ROWS: readonly UpdateRow[] }> {
  return import(join(copy, "src/kernels/table.ts"));
}

/** The functions, without what they are called. */
function bodies(bytes: Uint8Array): string[] {
  return partsOf(bytes).flatMap((part) => /^ \(func \S+(.*)/s.exec(part)?.[1] ?? []);
}
