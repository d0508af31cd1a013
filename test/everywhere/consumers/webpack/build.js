import { copyFileSync } from "node:fs";
import webpack from "webpack";

// The hints are about sizes: two chunks, the kernels for 16 bits, are larger than 244 KiB, and no page fetches them unasked.
const config = {
  mode: "production",
  entry: "./page.js",
  output: { filename: "page.js" },
  performance: { hints: false },
};
webpack(config, (error, stats) => {
  if (error) throw error;
  const { errors, warnings } = stats.toJson();
  for (const { message } of [...errors, ...warnings]) console.error(message);
  if (errors.length + warnings.length > 0) process.exitCode = 1;
  copyFileSync("index.html", "dist/index.html");
});
