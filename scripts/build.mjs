// Builds the package: AssemblyScript -> build/wasm -> src/generated/modules.ts -> dist/{esm,cjs,wasm}.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);

const { targets } = JSON.parse(readFileSync("asconfig.json", "utf8"));
const modules = Object.keys(targets).filter((target) => target !== "debug");
const run = (script, ...args) =>
  execFileSync(process.execPath, [`node_modules/${script}`, ...args], { stdio: "inherit" });

for (const dir of ["build/wasm", "dist", "src/generated"]) rmSync(dir, { recursive: true, force: true });
for (const dir of ["build/wasm", "dist/wasm", "src/generated"]) mkdirSync(dir, { recursive: true });

for (const target of modules) run("assemblyscript/bin/asc.js", "--target", target);

// Hex, not base64: the kernels resemble each other, and only a byte-aligned text lets brotli and gzip see that
// (11 KB of module: 1.1 KB as hex, 1.9 KB as base64, after brotli).
const rows = modules.map((name) => {
  cpSync(`build/wasm/${name}.wasm`, `dist/wasm/${name}.wasm`);
  return `  ${JSON.stringify(name)}: "${readFileSync(`build/wasm/${name}.wasm`).toString("hex")}",\n`;
});
writeFileSync(
  "src/generated/modules.ts",
  `// Made by scripts/build.mjs from assembly/.\nexport const MODULES = {\n${rows.join("")}} as const;\n`,
);

const formats = {
  esm: ["--module", "nodenext"],
  cjs: ["--module", "commonjs", "--moduleResolution", "bundler"],
};
for (const [format, flags] of Object.entries(formats)) {
  run("typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", `dist/${format}`, ...flags);
  const type = format === "esm" ? "module" : "commonjs";
  writeFileSync(`dist/${format}/package.json`, `${JSON.stringify({ type, sideEffects: false })}\n`);
}
