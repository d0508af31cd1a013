/** Nothing is bundled: the package is a classic script beside the page's own. */
import { copyFileSync, mkdirSync } from "node:fs";

mkdirSync("dist");
copyFileSync("node_modules/fused-adam/dist/browser/fused-adam.js", "dist/fused-adam.js");
for (const file of ["index.html", "page.js", "train.js"]) copyFileSync(file, `dist/${file}`);
