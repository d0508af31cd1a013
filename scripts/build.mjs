// Builds the package: the kernel table -> build/assembly -> build/wasm -> src/generated/ -> dist/{esm,cjs,wasm}, and a folder for
// each entry point. With `--generate` only as far as src/ itself needs it, and kernels only if their sources have changed. With
// `--debug` only build/wasm/debug.*, which docs/kernels.md says how to step through.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { bundleForPages } from "./browser.mjs";
import { callingCode, exportsOf, readTable, withSourceMap } from "./kernels.mjs";
import { writeSubpaths } from "./subpaths.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const run = (script, ...args) =>
  execFileSync(process.execPath, [`node_modules/${script}`, ...args], { stdio: "inherit" });
const asc = (...args) => run("assemblyscript/bin/asc.js", ...args);

/** Writes it if it is new, so that nothing that watches it is woken for nothing. */
function write(file, text) {
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
}
const generate = (name, code) => write(`src/generated/${name}.ts`, `// Made by scripts/build.mjs.\n${code}`);

const entry = (half) => `build/assembly/${half ? "half" : "index"}.ts`;
const table = await readTable(process.cwd());
mkdirSync("build/assembly", { recursive: true });
for (const half of [false, true]) write(entry(half), exportsOf(table, half, "../../assembly"));
if (process.argv.includes("--debug")) {
  asc(entry(false), "--target", "debug");
  const file = "build/wasm/debug.wasm";
  writeFileSync(file, withSourceMap(readFileSync(file), readFileSync(`${file}.map`)));
  process.exit();
}

const kinds = Object.keys(table.MODULES);
/** Compiled. Of the others there is no need: they differ from these in one section. */
const compiled = [
  ...kinds.map((kind) => ({ name: kind, kind, target: "unshared" })),
  { name: "simd-shared", kind: "simd", target: "shared" },
];

const onlyGenerate = process.argv.includes("--generate");
const changed = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);
const sources = [
  ...["asconfig.json", "package-lock.json", "scripts/build.mjs", "bench/assembly/passes.ts", entry(false), entry(true)],
  ...readdirSync("assembly").map((name) => `assembly/${name}`),
];
const compiles = compiled.some(({ name }) =>
  sources.some((path) => changed(path) >= changed(`build/wasm/${name}.wasm`)),
);

// Everything is made in build/ and moved when it is complete: whoever imports dist/ meanwhile finds the old or the new.
// What else lies in build/, screenshots of the last test run for one, stays.
for (const dir of ["build/dist", ...(compiles ? ["build/wasm"] : [])]) rmSync(dir, { recursive: true, force: true });
for (const dir of ["build/wasm", "build/dist/wasm", "src/generated"]) mkdirSync(dir, { recursive: true });

if (compiles) {
  for (const { name, kind, target } of compiled) {
    const { features, half } = table.MODULES[kind];
    asc(entry(half), "--target", target, "--enable", features.join(","), "--outFile", `build/wasm/${name}.wasm`);
  }
  asc("--config", "bench/assembly/asconfig.json", "--target", "passes");
}
// Hex, not base64: the kernels resemble each other, and only a byte-aligned text lets brotli and gzip see that
// (11 KB of module: 1.1 KB as hex, 1.9 KB as base64, after brotli).
const hex = (name) => readFileSync(`build/wasm/${name}.wasm`).toString("hex");

// A module for shared memory differs in its import section only, so that section is all that is kept of it.
const section = (name) => hex(name).match(/02..0103656e76066d656d6f727902(?:0000|0300808004)/)[0];
const [unshared, shared] = [section("simd"), section("simd-shared")];
if (hex("simd").replace(unshared, shared) !== hex("simd-shared")) throw new Error("simd-shared differs elsewhere");
for (const kind of kinds) {
  const text = hex(kind);
  if (section(kind) !== unshared) throw new Error(`${kind} imports another memory`);
  for (const [name, digits] of [
    [kind, text],
    [`${kind}-shared`, text.replace(unshared, shared)],
  ]) {
    const bytes = Buffer.from(digits, "hex");
    for (const folder of ["build/wasm", "build/dist/wasm"]) writeFileSync(`${folder}/${name}.wasm`, bytes);
  }
  generate(kind, `export const HEX: string =\n  "${text}";\n`);
}
const lazy = (kind) => table.MODULES[kind].lazy;
const eager = kinds.filter((kind) => !lazy(kind));
const imports = eager.map((kind) => `import { HEX as ${kind} } from "./${kind}.js";`);
const loaders = kinds.filter(lazy).map((kind) => `"${kind}": () => import("./${kind}.js")`);
generate(
  "modules",
  `${imports.join("\n")}
export const LOADED = { ${eager.join(", ")} };
export const LOADERS = { ${loaders.join(", ")} };
export const UNSHARED_IMPORT = "${unshared}";
export const SHARED_IMPORT = "${shared}";\n`,
);
generate(
  "lazy",
  [
    ...kinds.filter(lazy).map((kind, i) => `import { HEX as text${i} } from "./${kind}.js";`),
    `export const LAZY = { ${kinds.filter(lazy).map((kind, i) => `"${kind}": text${i}`)} };\n`,
  ].join("\n"),
);
for (const [name, code] of Object.entries(callingCode(table))) generate(name, code);

for (const [name, half] of [
  ["worker", false],
  ["workerHalf", true],
]) {
  const { outputFiles } = buildSync({
    entryPoints: ["src/threads/worker.ts"],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    define: { HALF: String(half) },
    write: false,
  });
  generate(name, `export const WORKER: string = ${JSON.stringify(outputFiles[0].text.trim())};\n`);
}

const { version, exports } = JSON.parse(readFileSync("package.json", "utf8"));
generate("version", `export const VERSION = "${version}";\n`);

if (onlyGenerate) process.exit();

const formats = {
  esm: { type: "module", flags: ["--module", "nodenext"] },
  cjs: { type: "commonjs", flags: ["--module", "commonjs", "--moduleResolution", "bundler"] },
};
for (const [format, { type, flags }] of Object.entries(formats)) {
  run("typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", `build/dist/${format}`, ...flags);
  writeFileSync(`build/dist/${format}/package.json`, `${JSON.stringify({ type, sideEffects: ["./index.node.js"] })}\n`);
}

bundleForPages("build/dist/esm", "build/dist/browser");

rmSync("dist", { recursive: true, force: true });
renameSync("build/dist", "dist");
writeSubpaths(exports);
