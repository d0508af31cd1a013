/** Runs jest in this environment and prints what the test has written. */
const { spawnSync } = require("node:child_process");
const { readFileSync } = require("node:fs");

const { status, stderr } = spawnSync(process.execPath, ["node_modules/jest/bin/jest.js", "--env", process.argv[2]]);
if (status !== 0) throw new Error(stderr);
console.log(readFileSync("results.json", "utf8"));
