import { copyFileSync } from "node:fs";
import webpack from "webpack";

webpack({ mode: "production", entry: "./page.js", output: { filename: "page.js" } }, (error, stats) => {
  if (error) throw error;
  const { errors, warnings } = stats.toJson();
  for (const { message } of [...errors, ...warnings]) console.error(message);
  if (errors.length + warnings.length > 0) process.exitCode = 1;
  copyFileSync("index.html", "dist/index.html");
});
