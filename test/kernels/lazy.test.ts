/** Kernels that pages load when they are asked for, and Node has from the start. */
import { execFileSync } from "node:child_process";
import { AdamW, preload } from "fused-adam";
import { expect, it } from "vitest";
import { caught, expectError, rangeError, typeError } from "../support/api.js";
import { fileUnless, notBuilt, ranInVitest, unless } from "../support/host.js";
import { dyadic } from "../support/model.js";
import { root } from "../support/root.js";
import { noRelaxed } from "../support/wasm.js";

fileUnless(notBuilt || ranInVitest("starts a process with Node's options"));

it("in a page, createSync: relaxed is an Error that names preload, until preload or create has loaded it", () => {
  const script = `
    import { AdamW, preload } from "./dist/esm/index.js";
    const attempt = () => {
      try {
        return AdamW.createSync([new Float32Array(2)], { kernel: "relaxed" }).kernel;
      } catch ({ code, message }) {
        return code + " " + message;
      }
    };
    const results = [attempt()];
    await preload();
    await preload({ kernel: "simd" });
    results.push(attempt());
    await (process.argv[1] === "preload" ? preload : (options) => AdamW.create([new Float32Array(2)], options))({ kernel: "relaxed" });
    console.log(JSON.stringify([...results, attempt()]));`;
  const flags = Number(process.versions.node.split(".")[0]) < 22 ? ["--experimental-wasm-relaxed-simd"] : [];
  for (const by of ["preload", "create"]) {
    const args = [...flags, "--input-type=module", "--eval", script, by];
    const results = JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
    const missing = expect.stringMatching(/^ERR_KERNEL_UNAVAILABLE .*preload\(\{ kernel: "relaxed" \}\)/);
    expect(results, by).toEqual([missing, missing, "relaxed"]);
  }
});

it("in Node, createSync has relaxed at once, as ES module and as CommonJS", unless(noRelaxed()), () => {
  expect(AdamW.createSync([dyadic(2, 1)], { kernel: "relaxed" }).kernel).toBe("relaxed");
  const script = `console.log(require("fused-adam").AdamW.createSync([new Float32Array(2)], { kernel: "relaxed" }).kernel)`;
  const flags = Number(process.versions.node.split(".")[0]) < 22 ? ["--experimental-wasm-relaxed-simd"] : [];
  const args = [...flags, "--input-type=commonjs", "--eval", script];
  expect(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }).trim()).toBe("relaxed");
});

it("preload refuses what createSync would refuse", async () => {
  for (const [options, error] of [
    [{ kernel: "RELAXED" }, rangeError("kernel")],
    [{ kernel: 1 }, typeError("kernel")],
    [5, typeError("options")],
    [{ kernal: "relaxed" }, typeError("options", "ERR_UNKNOWN_OPTION")],
  ] as const) {
    expectError(await caught(() => preload(options as never)), error);
  }
});

it("in a page, createSync and addParamGroup of 16-bit numbers are Errors that name preload, until it has loaded their kernels", () => {
  const script = `
    const { AdamW, preload } = await import(${JSON.stringify(new URL("../../dist/esm/index.js", import.meta.url).href)});
    const attempt = (call) => {
      try {
        return call().kernel ?? "added";
      } catch ({ code, message }) {
        return code + " " + message;
      }
    };
    const plain = AdamW.createSync([new Float32Array(2)], { kernel: process.argv[1] });
    const attempts = () => [
      attempt(() => AdamW.createSync([new Float32Array(2)], { moments: "bfloat16", kernel: process.argv[1] })),
      attempt(() => (plain.addParamGroup({ params: { w: new Float32Array(2) }, grads: "float16" }), plain)),
    ];
    const before = attempts();
    await preload({ copies: "float16", kernel: process.argv[1] });
    console.log(JSON.stringify([...before, ...attempts(), plain.names]));`;
  for (const kernel of ["simd", "scalar"]) {
    const args = ["--input-type=module", "--eval", script, kernel];
    const results = JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
    const missing = expect.stringMatching(/^ERR_KERNEL_UNAVAILABLE .*preload\(\{ moments, grads, copies \}\)/);
    expect(results, kernel).toEqual([missing, missing, kernel, kernel, ["0", "w"]]);
  }
});
