// Runs before packing: builds afresh, and sets file modes, so that they do not depend on the umask. npm normalises everything else.
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { subpathsOf } from "./subpaths.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });

const { files, exports } = JSON.parse(readFileSync("package.json", "utf8"));
const folders = subpathsOf(exports).map(([name]) => name);
for (const path of [
  "package.json",
  "README.md",
  "LICENSE",
  ...folders,
  ...files.filter((path) => !path.includes("*")),
]) {
  const inside = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true }).map((name) => join(path, name))
    : [];
  for (const file of [path, ...inside]) if (statSync(file).isFile()) chmodSync(file, 0o644);
}
