import { copyFileSync } from "node:fs";
import { build } from "esbuild";

await build({ entryPoints: ["page.js", "worker.js"], outdir: "dist", bundle: true, minify: true, format: "esm" });
copyFileSync("index.html", "dist/index.html");
