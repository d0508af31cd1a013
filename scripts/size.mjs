// Size budgets: what an entry point costs a page, bundled, minified and brotli-compressed, its modules inlined.
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const CORE = 'export { Adam, AdamW } from "fused-adam"';
const CHECKPOINT = 'export { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint"';
const TFJS = 'export { adam, adamw } from "fused-adam/tfjs"';
const LOADER = "@assemblyscript/loader";
const BUDGETS = [
  { name: "core with all modules and threads", code: CORE, external: [LOADER], kilobytes: 16 },
  { name: "core with its dependency", code: CORE, kilobytes: 17.5 },
  { name: "core and checkpoints", code: `${CORE}; ${CHECKPOINT}`, external: [LOADER], kilobytes: 19.5 },
  {
    name: "core and jax-js adapter",
    code: 'export * from "fused-adam/jax"',
    external: [LOADER, "@jax-js/jax"],
    kilobytes: 19.5,
  },
  { name: "core and tfjs adapter", code: `${CORE}; ${TFJS}`, external: [LOADER], kilobytes: 22 },
  { name: "schedules", code: 'export * from "fused-adam/schedules"', kilobytes: 2 },
  { name: "nothing used", code: 'import "fused-adam"', kilobytes: 0.05 },
];

let over = 0;
for (const { name, code, external = [], kilobytes } of BUDGETS) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: process.cwd() },
    bundle: true,
    external,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  const [{ contents }] = outputFiles;
  const size = brotliCompressSync(contents).length / 1000;
  if (size > kilobytes) over++;
  console.log(
    `${size > kilobytes ? "OVER" : "ok  "}  ${name}: ${size.toFixed(2)} KB of ${kilobytes} KB (${(contents.length / 1000).toFixed(1)} KB minified)`,
  );
}
if (over > 0) process.exitCode = 1;
