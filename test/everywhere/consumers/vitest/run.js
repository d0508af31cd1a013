/** Runs vitest in this pool and prints what the test has written. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const args = ["node_modules/vitest/vitest.mjs", "run", "--pool", process.argv[2]];
const { status, stdout, stderr } = spawnSync(process.execPath, args);
if (status !== 0) throw new Error(`${stdout}${stderr}`);
console.log(readFileSync("results.json", "utf8"));
