/** A host with little address space: engines reserve much more of it for a memory than the memory has bytes. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { notBuilt, on, unless } from "../support/host.js";
import { root } from "../support/root.js";

const USE = `
  import { AdamW } from "fused-adam";
  try {
    const optimizer = AdamW.createSync({ w: { shape: [64] } });
    optimizer.grad("w").fill(1);
    console.log(JSON.stringify(optimizer.step()));
  } catch (error) {
    console.log(error.constructor.name, error.code, error.message);
  }
`;

/** What Node prints with 8 GB of address space. */
function run(...flags: string[]): string {
  const node = [process.execPath, ...flags, "--input-type=module", "--eval", USE];
  const shell = ["-c", 'ulimit -v 8000000 && exec "$@"', "sh", ...node];
  const { stdout, stderr } = spawnSync("sh", shell, { cwd: root, encoding: "utf8" });
  return (stdout + stderr).trim();
}

const noLimit = globalThis.process?.platform !== "linux" && "limits address space as Linux does";
const isModest = Number.parseInt(globalThis.process?.versions.node ?? "", 10) >= 26 && "Node 26 does without by itself";
const noNode = !on("vitest", "node") && "is about what V8 reserves in Node";

describe("8 GB of address space", unless(notBuilt, noNode, noLimit), () => {
  it(
    "is too little for V8: the error says what was asked for, what the engine said, and what helps",
    unless(isModest),
    () => {
      const printed = run();
      expect(printed).toMatch(/^RangeError ERR_OUT_OF_MEMORY "params": expected 2048 bytes from the engine /);
      expect(printed).toMatch(/ulimit -v.*--disable-wasm-trap-handler.*, got RangeError: WebAssembly\.Memory\(\)/);
    },
  );

  it("is enough with what the error says", () => {
    expect(run("--disable-wasm-trap-handler")).toBe('{"step":1,"skipped":false}');
  });
});
