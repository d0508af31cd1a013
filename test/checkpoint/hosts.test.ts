/** Hosts without TextDecoder and TextEncoder, as AudioWorklets and jest's jsdom: imports work, and checkpoints say what they need. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { fileUnless, notBuilt, ranInVitest } from "../support/host.js";
import { root } from "../support/root.js";

fileUnless(notBuilt, ranInVitest("takes globals from Node's processes"));

/** Runs a script without some globals, and returns what it lists. */
function list(missing: readonly string[], body: string): unknown[] {
  const script = `
    const had = {};
    for (const name of ${JSON.stringify(missing)}) {
      had[name] = globalThis[name];
      delete globalThis[name];
      if (name in globalThis) throw new Error(name + " is still there");
    }
    const { AdamW } = await import("fused-adam");
    const { encodeCheckpoint, loadCheckpoint } = await import("fused-adam/checkpoint");
    const { readSafetensors, writeSafetensors } = await import("fused-adam/safetensors");
    const { saveCheckpointFile, loadCheckpointFile } = await import("fused-adam/node");
    const listed = [];
    const attempt = async (call) => {
      try { listed.push(await call() ?? "fine"); }
      catch (error) { listed.push([error.constructor.name, error.code, error.message.split(",")[0]]); }
    };
    const optimizer = AdamW.createSync({ w: new Float32Array([1, 2]) });
    const step = () => { optimizer.grad("w").fill(1); return optimizer.step().step; };
    ${body}
    console.log(JSON.stringify(listed));`;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
}

const needs = (name: string) => ["Error", "ERR_HOST", `"${name}": expected a global of this name`];

it("without either, everything can be imported, and each call names what it needs and changes nothing", () => {
  const got = list(
    ["TextDecoder", "TextEncoder"],
    `
    const file = "build/no-such-folder/run";
    await attempt(() => encodeCheckpoint(optimizer));
    await attempt(() => writeSafetensors({ tensors: {} }));
    await attempt(() => saveCheckpointFile(file, optimizer));
    const bytes = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 123, 125);
    await attempt(() => loadCheckpoint(optimizer, bytes));
    await attempt(() => readSafetensors(bytes));
    await attempt(step);`,
  );
  const [encoder, decoder] = [needs("TextEncoder"), needs("TextDecoder")];
  expect(got).toEqual([encoder, encoder, encoder, decoder, decoder, 1]);
});

it("as soon as they are assigned, all of it works", () => {
  const got = list(
    ["TextDecoder", "TextEncoder"],
    `
    await attempt(() => encodeCheckpoint(optimizer));
    Object.assign(globalThis, had);
    await attempt(step);
    await attempt(() => loadCheckpoint(optimizer, encodeCheckpoint(optimizer)));
    await attempt(() => Object.keys(readSafetensors(encodeCheckpoint(optimizer)).tensors).length > 1);`,
  );
  expect(got.slice(0, 2)).toEqual([needs("TextEncoder"), 1]);
  expect(got[3]).toBe(true);
});

it("a file that is no UTF-8 is damaged, whatever the host has", () => {
  const got = list([], "await attempt(() => readSafetensors(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 123, 255, 125)));");
  expect(got).toEqual([["RangeError", "ERR_CHECKPOINT", '"header": expected UTF-8']]);
});
