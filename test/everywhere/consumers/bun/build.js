import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";

const bun = "node_modules/@oven/bun-linux-x64-baseline/bin/bun";
const files = ["page.js", "worker.js"];
execFileSync(bun, ["build", ...files, "--outdir", "dist", "--target", "browser", "--minify"], { stdio: "pipe" });
copyFileSync("index.html", "dist/index.html");
