/** The test files, each bundled into one module that every engine can load. */
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { onePackage } from "../support/package.js";
import { root } from "../support/root.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const REPOSITORY = String(pathToFileURL(root));

/** About this repository's programs and pages: enough that vitest runs them. */
const HERE_ONLY = /^test\/(project|web)\//;

/** Paths of the test files that run everywhere. */
export function testFiles(): string[] {
  const names = readdirSync(`${root}test`, { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `test/${name.replaceAll("\\", "/")}`)
    .filter((file) => !HERE_ONLY.test(file))
    .sort();
}

/** Name of a test file's bundle. */
export function bundleOf(file: string): string {
  return relative("test", file).replaceAll("/", "-").replace(/\.ts$/, ".mjs");
}

/** Bundles them, and what runs them, into `outdir`. */
export async function bundle(files: readonly string[], outdir: string): Promise<void> {
  const drivers = ["process", "page", "worker", "workerd"].map((name) => ({
    in: `${HERE}engine/${name}.ts`,
    out: name,
  }));
  const common = {
    outdir,
    bundle: true,
    format: "esm",
    target: "es2022",
    logLevel: "warning",
  } as const;
  const outExtension = { ".js": ".mjs" };
  await build({ ...common, entryPoints: drivers, outExtension, external: ["node:*", "*.wasm"], absWorkingDir: root });
  await build({
    ...common,
    entryPoints: files.map((file) => ({ in: `run:${file}`, out: bundleOf(file).replace(/\.mjs$/, "") })),
    outExtension,
    // What they share is bundled once: the whole would be 66 MB, half a minute's work.
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
    absWorkingDir: root,
    alias: { vitest: `${HERE}engine/vitest.ts` },
    define: { REPOSITORY: JSON.stringify(REPOSITORY), "process.env.NODE_ENV": '"test"' },
    plugins: [entries, onePackage("dist"), builtins, tools, locations],
  });
}

/** What tests drive from outside: nothing of ours runs in the engine that is tested, so once, by vitest, is enough. */
const TOOLS = /^(binaryen|esbuild|playwright-core|tsx|vite|axe-core)$/;

const tools: Plugin = {
  name: "tools",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: TOOLS }, ({ path }) => ({ path, namespace: "tool" }));
    onLoad({ filter: /./, namespace: "tool" }, ({ path }) => ({
      resolveDir: HERE,
      contents: `module.exports = require("./engine/absent.ts").absent(${JSON.stringify(`${path}, which vitest ran it with`)});`,
    }));
  },
};

const entries: Plugin = {
  name: "entries",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^run:/ }, ({ path }) => ({ path: path.slice(4), namespace: "run" }));
    // Imported when asked for, so that its suites are collected then.
    onLoad({ filter: /./, namespace: "run" }, ({ path }) => ({
      resolveDir: root,
      contents: `
        import { runFile } from "./test/everywhere/engine/suite.ts";
        export const run = (host) => runFile(${JSON.stringify(path)}, host, () => import("./${path}"));
      `,
    }));
  },
};

/** Node's modules: the engine's where it has them. */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    const names = builtinModules.filter((name) => !name.startsWith("_"));
    onResolve({ filter: new RegExp(`^(node:)?(${names.join("|")})$`) }, ({ path, importer }) => {
      // A package of that name, for those who bundle it on purpose.
      if (path === "buffer" && importer.endsWith("/engine/buffer.ts")) return undefined;
      return { path: path.replace(/^(node:)?/, "node:"), namespace: "builtin" };
    });
    onLoad({ filter: /./, namespace: "builtin" }, async ({ path }) => {
      // All of `process` is values, which a browser cannot pretend to have until they are asked for.
      const names = path === "node:process" ? [] : Object.keys(await import(path)).filter((name) => name !== "default");
      const contents = `
        import { builtin } from "./engine/builtins.ts";
        const it = builtin(${JSON.stringify(path)});
        export default it;
        ${names.map((name, i) => `const x${i} = it[${JSON.stringify(name)}]; export { x${i} as ${name} };`).join("\n")}
      `;
      return { contents, resolveDir: HERE };
    });
  },
};

/** A test file's own place, and a `process` that says what is missing: bundled files have neither. */
const locations: Plugin = {
  name: "locations",
  setup({ onLoad }) {
    onLoad({ filter: /\/test\/.*\.m?ts$/ }, ({ path }) => {
      if (dirname(path) === `${HERE}engine`) return undefined;
      const text = readFileSync(path, "utf8")
        .replaceAll("import.meta.url", JSON.stringify(String(pathToFileURL(path))))
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)));
      const usesProcess = /\bprocess\./.test(text) && !text.includes('"node:process"');
      const prefix = usesProcess ? 'import process from "node:process"; ' : "";
      return { contents: prefix + text, loader: "ts", resolveDir: dirname(path) };
    });
  },
};
