import { copyFileSync } from "node:fs";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { rollup } from "rollup";

const onwarn = ({ message }) => {
  throw new Error(message);
};
const bundle = await rollup({ input: ["page.js", "worker.js"], plugins: [nodeResolve({ browser: true })], onwarn });
await bundle.write({ dir: "dist", format: "es" });
copyFileSync("index.html", "dist/index.html");
