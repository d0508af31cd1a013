/** The packed package, and fresh projects that install it. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { root } from "../../support/root.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const run = promisify(execFile);

/** Packs what was built. @returns the tarball's path */
export async function pack(folder: string): Promise<string> {
  const { stdout } = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
  });
  return `${folder}/${stdout.trim()}`;
}

/**
 * A project outside of this one, where nothing resolves to this repository: the app, what is in the project's own folder, the
 * tarball under each of these names, and the pinned tools that it asks for.
 */
export async function install(
  project: string,
  dir: string,
  tarball: string,
  names: readonly string[] = ["fused-adam"],
): Promise<void> {
  mkdirSync(dir, { recursive: true });
  cpSync(`${HERE}app`, dir, { recursive: true, filter: (path) => !path.endsWith(".d.ts") });
  cpSync(`${HERE}app/train.js`, `${dir}/train.mjs`);
  cpSync(`${HERE}${project}`, dir, { recursive: true });
  const manifest = JSON.parse(readFileSync(`${dir}/package.json`, "utf8"));
  manifest.dependencies = Object.fromEntries(names.map((name) => [name, `file:${tarball}`]));
  writeFileSync(`${dir}/package.json`, JSON.stringify(manifest));
  await run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"], { cwd: dir });
}

/** Runs a script of the project's; what it prints. @param node the path of another than this one @throws if it fails or warns */
export async function runScript(dir: string, args: readonly string[], node = process.execPath): Promise<string> {
  const { stdout, stderr } = await run(node, args, { cwd: dir });
  if (stderr !== "") throw new Error(stderr);
  return stdout;
}
