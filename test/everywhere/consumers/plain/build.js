/** Nothing is bundled: the page has the package's single file beside its own. */
import { copyFileSync, mkdirSync } from "node:fs";

mkdirSync("dist");
copyFileSync("node_modules/fused-adam/dist/browser/fused-adam.mjs", "dist/fused-adam.mjs");
for (const file of ["index.html", "page.js", "worker.js", "package.js", "train.js"]) copyFileSync(file, `dist/${file}`);
