// Size budgets: the bytes that an entry point adds to a page, bundled, minified and brotli-compressed, with its modules. Without
// peers, and without what is loaded when it is asked for, which has rows of its own.
import { readFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const LOADER = "@assemblyscript/loader";
/** What `./tfjs` has for GPUs alone. `applyGradients` is synchronous, so it cannot be loaded when it is asked for. */
const GPU = "./gpu/web*";
/** A row for every entry point; with the core where it is used together with it. */
const BUDGETS = [
  { entries: ["."], without: [LOADER], kilobytes: 17.35 },
  { entries: ["."], kilobytes: 19.15 },
  { entries: ["./schedules"], kilobytes: 3 },
  { entries: [".", "./checkpoint"], without: [LOADER], kilobytes: 24.35 },
  { entries: ["./safetensors"], without: [LOADER], kilobytes: 5.1 },
  { entries: [".", "./shards"], without: [LOADER], kilobytes: 24.75 },
  { entries: [".", "./node"], without: [LOADER], kilobytes: 29.3 },
  { entries: [".", "./tfjs"], without: [LOADER], kilobytes: 29.3 },
  { entries: [".", "./tfjs"], without: [LOADER, GPU], kilobytes: 24 },
  { entries: [".", "./jax"], without: [LOADER], kilobytes: 21.3 },
  { entries: ["."], unused: true, kilobytes: 0.05 },
];
/** What the core loads when it is asked for, by its file. */
const LAZY = { "half-simd": 9.8, "half-relaxed": 9.8, halves: 4.05, relaxed: 1.75, pool: 4.35 };

const { name: packageName, exports, peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const entryPoints = Object.keys(exports).filter((subpath) => exports[subpath].import !== undefined);
const forgotten = entryPoints.filter((subpath) => !BUDGETS.some(({ entries }) => entries.includes(subpath)));
if (forgotten.length > 0) throw new Error(`no size budget for ${forgotten.join(", ")}`);

let over = 0;
for (const { entries, without = [], unused = false, kilobytes } of BUDGETS) {
  const names = entries.map((subpath) => packageName + subpath.slice(1));
  const contents = names.map((name) => (unused ? `import "${name}";` : `export * from "${name}";`)).join("\n");
  const what = [names.join(" + "), unused ? "imported, not used" : "", ...without.map((name) => `without ${name}`)];
  judge(what.filter(Boolean).join(", "), (await bundle(contents, without)).first, kilobytes);
}
const { later } = await bundle(`export * from "${packageName}";`, [LOADER]);
for (const name of new Set([...later.keys(), ...Object.keys(LAZY)])) {
  judge(`${packageName}, when ${name} is asked for`, later.get(name), LAZY[name]);
}
if (over > 0) process.exitCode = 1;

/** What a page loads of it first, and what later, by name. */
async function bundle(contents, without) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    splitting: true,
    external: [...without, ...Object.keys(peerDependencies), "node:*"],
    minify: true,
    format: "esm",
    target: "es2022",
    outdir: ".",
    chunkNames: "[name].[hash]",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const { outputs } = metafile;
  const codeOf = new Map(outputFiles.map(({ path, contents }) => [path.split("/").at(-1), contents]));
  const importsOf = (file, kind) => outputs[file].imports.flatMap((found) => (found.kind === kind ? [found.path] : []));
  const first = withImports(Object.keys(outputs).filter((file) => outputs[file].entryPoint === "<stdin>"));
  const later = first.flatMap((file) => importsOf(file, "dynamic-import"));
  const codeOfAll = (files) => Buffer.concat(files.map((file) => codeOf.get(file)));
  return {
    first: codeOfAll(first),
    later: new Map(
      later.map((file) => [
        file.replace(/\.\w+\.js$/, ""),
        codeOfAll(withImports([file]).filter((part) => !first.includes(part))),
      ]),
    ),
  };

  /** The files, and what is loaded with them. */
  function withImports(files) {
    const all = new Set(files);
    for (const file of all) for (const path of importsOf(file, "import-statement")) if (outputs[path]) all.add(path);
    return [...all];
  }
}

function judge(what, code, kilobytes) {
  if (code === undefined || kilobytes === undefined) throw new Error(`${what}: no such bundle, or no budget for it`);
  const size = brotliCompressSync(code).length / 1000;
  const isOver = size > kilobytes;
  if (isOver) over++;
  const minified = (code.length / 1000).toFixed(1);
  console.log(
    `${isOver ? "OVER" : "ok  "}  ${what}: ${size.toFixed(2)} KB of ${kilobytes} KB (${minified} KB minified)`,
  );
}
