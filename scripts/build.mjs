// Builds the package: assembly -> build/wasm -> src/generated/modules.ts -> dist/{esm,cjs,wasm}.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const run = (script, ...args) =>
  execFileSync(process.execPath, [`node_modules/${script}`, ...args], { stdio: "inherit" });
const asc = (config, target) => run("assemblyscript/bin/asc.js", "--config", config, "--target", target);

const { targets } = JSON.parse(readFileSync("asconfig.json", "utf8"));
const modules = Object.keys(targets).filter((target) => target !== "debug");

// Everything is made in build/ and moved when it is complete: whoever imports dist/ meanwhile finds the old or the new.
rmSync("build", { recursive: true, force: true });
for (const dir of ["build/wasm", "build/dist/wasm", "src/generated"]) mkdirSync(dir, { recursive: true });

for (const name of modules) asc("asconfig.json", name);
asc("bench/assembly/asconfig.json", "limits");

// Hex, not base64: the kernels resemble each other, and only a byte-aligned text lets brotli and gzip see that
// (11 KB of module: 1.1 KB as hex, 1.9 KB as base64, after brotli).
const rows = modules.map((name) => {
  cpSync(`build/wasm/${name}.wasm`, `build/dist/wasm/${name}.wasm`);
  return `  ${JSON.stringify(name)}: "${readFileSync(`build/wasm/${name}.wasm`).toString("hex")}",\n`;
});
writeFileSync(
  "src/generated/modules.ts",
  `// Made by scripts/build.mjs from assembly/.\nexport const MODULES = {\n${rows.join("")}} as const;\n`,
);

const formats = {
  esm: { type: "module", flags: ["--module", "nodenext"] },
  cjs: { type: "commonjs", flags: ["--module", "commonjs", "--moduleResolution", "bundler"] },
};
for (const [format, { type, flags }] of Object.entries(formats)) {
  run("typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", `build/dist/${format}`, ...flags);
  writeFileSync(`build/dist/${format}/package.json`, `${JSON.stringify({ type, sideEffects: false })}\n`);
}

rmSync("dist", { recursive: true, force: true });
renameSync("build/dist", "dist");
