import { buildSync } from "esbuild";

/** What a page gets from one file: everything but Node's files and jax-js, which it would have to find by itself. */
const ENTRIES = ["index", "schedules", "checkpoint", "safetensors", "tfjs"];

/** Makes single files of compiled modules: an ES module, and a classic script that sets the global `fusedAdam`. */
export function bundleForPages(esm, folder) {
  const contents = ENTRIES.map((name) => `export * from "./${name}.js";`).join("\n");
  const options = { stdin: { contents, resolveDir: esm }, bundle: true, minify: true, target: "es2022" };
  buildSync({ ...options, format: "esm", outfile: `${folder}/fused-adam.mjs` });
  buildSync({ ...options, format: "iife", globalName: "fusedAdam", outfile: `${folder}/fused-adam.js` });
}
