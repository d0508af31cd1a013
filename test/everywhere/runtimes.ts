/** Runs test files in Node, Bun and Deno: a process for each file, as a page for each in browsers. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { bundleOf } from "./bundle.js";
import type { Job } from "./engine/process.js";
import type { FileResult, Host } from "./engine/result.js";
import type { Runtime } from "./engines.js";

const LONGEST = 180_000;

export async function runInProcess(
  { command = (path) => [path] }: Runtime,
  binary: string,
  folder: string,
  file: string,
  host: Host,
): Promise<FileResult> {
  const scratch = mkdtempSync(`${folder}/run-`);
  const output = `${scratch}/result.json`;
  const job: Job = { bundle: `${folder}/${bundleOf(file)}`, output, host };
  const { code, text } = await run([...command(binary), `${folder}/process.mjs`, JSON.stringify(job)]);
  try {
    const result: FileResult = JSON.parse(readFileSync(output, "utf8"));
    return code === 0 ? result : { ...result, error: result.error ?? `exit ${code}: ${text}` };
  } catch {
    return { tests: [], error: `no result, exit ${code}: ${text}` };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Until it ends by itself: a worker that keeps a process alive is an error too. */
function run([binary, ...args]: readonly string[]): Promise<{ code: number | string; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(binary!, args, { stdio: ["ignore", "pipe", "pipe"], timeout: LONGEST, killSignal: "SIGKILL" });
    const end = () => child.kill("SIGKILL");
    process.on("exit", end);
    child.on("close", () => process.off("exit", end));
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
    child.on("error", (error) => resolve({ code: "none", text: String(error) }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "none", text }));
  });
}
