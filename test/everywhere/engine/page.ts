/** Runs one bundled test file on this page's thread or in a worker of it, reports, and goes where the answer says. */
import type { FileResult, Host } from "./result.js";

const query = new URLSearchParams(location.search);
const bundle = new URL(query.get("bundle")!, import.meta.url).href;
const host: Host = JSON.parse(query.get("host")!);

function inWorker(): Promise<FileResult> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => resolve({ tests: [], error: `the worker failed: ${event.message}` });
    worker.postMessage({ bundle, host });
  });
}

async function here(): Promise<FileResult> {
  return (await import(bundle)).run(host);
}

const result = await (host.thread === "worker" ? inWorker() : here()).catch(
  (error): FileResult => ({ tests: [], error: `${error}\n${error.stack}` }),
);
const answer = await fetch(new URL("../result", import.meta.url), { method: "POST", body: JSON.stringify(result) });
if (answer.ok) location.replace(await answer.text());
