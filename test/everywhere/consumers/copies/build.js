import { copyFileSync } from "node:fs";
import { build } from "esbuild";

await build({ entryPoints: ["page.js"], outdir: "dist", bundle: true, format: "esm" });
copyFileSync("index.html", "dist/index.html");
