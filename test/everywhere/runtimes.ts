/** Runs test files in Node, Bun, Deno and workerd: a process for each file, as a page for each in browsers. */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { root } from "../support/root.js";
import { bundleOf } from "./bundle.js";
import type { Job } from "./engine/process.js";
import type { FileResult, Host } from "./engine/result.js";

/**
 * Runs the bundle of a test file.
 *
 * @param command what stands before a script's path
 * @param folder where the bundles are
 * @param longest in milliseconds; then it is ended
 */
export type RunFile = (
  command: readonly string[],
  folder: string,
  file: string,
  host: Host,
  longest: number,
) => Promise<FileResult>;

export const runInProcess: RunFile = async (command, folder, file, host, longest) => {
  const scratch = mkdtempSync(`${folder}/run-`);
  const output = `${scratch}/result.json`;
  const job: Job = { bundle: `${folder}/${bundleOf(file)}`, output, host };
  const { code, text } = await run([...command, `${folder}/process.mjs`, JSON.stringify(job)], longest);
  const result = resultIn(() => readFileSync(output, "utf8"), code, text);
  rmSync(scratch, { recursive: true });
  return result;
};

/** workerd has no files: what it may import is named in its configuration, and the result is the last line that it prints. */
export const runInWorkerd: RunFile = async (command, folder, file, host, longest) => {
  const bundle = bundleOf(file);
  const config = `${folder}/${bundle}.capnp`;
  const chunks = readdirSync(`${folder}/chunks`).map((name) => `chunks/${name}`);
  const modules = ["workerd.mjs", bundle, ...chunks].map((name) => `(name = "${name}", esModule = embed "${name}")`);
  for (const name of ["simd.wasm", "half-simd.wasm"]) {
    cpSync(`${root}dist/wasm/${name}`, `${folder}/${name}`);
    modules.push(`(name = "${name}", wasm = embed "${name}")`);
  }
  const job = JSON.stringify(JSON.stringify({ bundle, host }));
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (services = [(name = "main", worker = (
      compatibilityDate = "2026-11-01",
      modules = [${modules.join(", ")}],
      bindings = [(name = "job", json = ${job})],
    ))]);`,
  );
  const { code, text, printed } = await run([...command, "test", config], longest);
  return resultIn(() => printed.trim().split("\n").at(-1)!, code, text);
};

function resultIn(read: () => string, code: number | string, text: string): FileResult {
  try {
    const result: FileResult = JSON.parse(read());
    return code === 0 ? result : { ...result, error: result.error ?? `exit ${code}: ${text}` };
  } catch {
    return { tests: [], error: `no result, exit ${code}: ${text}` };
  }
}

/** Until it ends by itself: a worker that keeps a process alive is an error too. */
function run(
  [binary, ...args]: readonly string[],
  longest: number,
): Promise<{ code: number | string; text: string; printed: string }> {
  return new Promise((resolve) => {
    const child = spawn(binary!, args, { stdio: ["ignore", "pipe", "pipe"], timeout: longest, killSignal: "SIGKILL" });
    const end = () => child.kill("SIGKILL");
    process.on("exit", end);
    child.on("close", () => process.off("exit", end));
    let [text, printed] = ["", ""];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
    child.stdout.on("data", (data) => (printed += data));
    child.on("error", (error) => resolve({ code: "none", text: String(error), printed }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "none", text, printed }));
  });
}
