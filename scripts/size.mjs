// Size budgets: the bytes that an entry point adds to a page, bundled, minified and brotli-compressed, with its modules. Without peers.
import { readFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const LOADER = "@assemblyscript/loader";
/** A row for every entry point; with the core where it is used together with it. */
const BUDGETS = [
  { entries: ["."], without: [LOADER], kilobytes: 16 },
  { entries: ["."], kilobytes: 17.5 },
  { entries: ["./schedules"], kilobytes: 2.75 },
  { entries: [".", "./checkpoint"], without: [LOADER], kilobytes: 21 },
  { entries: [".", "./node"], without: [LOADER], kilobytes: 21 },
  { entries: [".", "./tfjs"], without: [LOADER], kilobytes: 22 },
  { entries: [".", "./jax"], without: [LOADER], kilobytes: 19.5 },
  { entries: ["."], unused: true, kilobytes: 0.05 },
];

const { name: packageName, exports, peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const entryPoints = Object.keys(exports).filter((subpath) => exports[subpath].import !== undefined);
const forgotten = entryPoints.filter((subpath) => !BUDGETS.some(({ entries }) => entries.includes(subpath)));
if (forgotten.length > 0) throw new Error(`no size budget for ${forgotten.join(", ")}`);

let over = 0;
for (const { entries, without = [], unused = false, kilobytes } of BUDGETS) {
  const names = entries.map((subpath) => packageName + subpath.slice(1));
  const contents = names.map((name) => (unused ? `import "${name}";` : `export * from "${name}";`)).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    external: [...without, ...Object.keys(peerDependencies), "node:*"],
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  const [{ contents: code }] = outputFiles;
  const size = brotliCompressSync(code).length / 1000;
  if (size > kilobytes) over++;
  const what = [names.join(" + "), unused ? "imported, not used" : "", ...without.map((name) => `without ${name}`)];
  console.log(
    `${size > kilobytes ? "OVER" : "ok  "}  ${what.filter(Boolean).join(", ")}: ${size.toFixed(2)} KB of ${kilobytes} KB (${(code.length / 1000).toFixed(1)} KB minified)`,
  );
}
if (over > 0) process.exitCode = 1;
