import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { FUZZ_MILLISECONDS } from "./test/support/fuzz.js";
import { resolvePackage } from "./test/support/package.js";
import { skips } from "./test/support/skips.js";

const ABOUT_THE_BUILD = ["test/project/**", "test/web/**", "test/everywhere/{formats,hardened}.test.ts"];

/** Tests of what is built, or with `--mode source` of what is in src/. */
export default defineConfig(({ mode }) => {
  const from = mode === "source" ? "src" : "dist";
  return {
    plugins: [onePackage(from), ...(from === "src" ? [generated()] : [])],
    test: {
      include: ["test/**/*.test.ts"],
      exclude: from === "src" ? ABOUT_THE_BUILD : [],
      reporters: ["default", skips],
      env: { TESTED: from },
      // As its users load it.
      server: { deps: { external: [/\/dist\/esm\//] } },
      // What is read from there is no import.
      forceRerunTriggers: ["**/build/wasm/*.wasm"],
      // For what hangs. What takes seconds here may take minutes on one core that others need, too.
      testTimeout: 300_000 + FUZZ_MILLISECONDS,
      hookTimeout: 300_000,
      // Two also where there are only two cores: many tests wait for others, workers and browsers.
      maxWorkers: Math.max(2, availableParallelism() - 1),
    },
  };
});

/** The package and its internals are of one copy, whichever name a test imports them by. */
function onePackage(from: "src" | "dist"): Plugin {
  return {
    name: "one-package",
    enforce: "pre",
    resolveId: (id, importer) => resolvePackage(id, importer, from, "index.node"),
  };
}

/** Makes what src/ needs beside itself: kernels as text, the worker's script. In a watch again when their sources change. */
function generated(): Plugin {
  const sources = ["assembly", "src"].map((folder) => join(import.meta.dirname, folder));
  const generate = () =>
    execFileSync(process.execPath, ["scripts/build.mjs", "--generate"], {
      cwd: import.meta.dirname,
      stdio: "inherit",
    });
  return {
    name: "generated",
    buildStart: () => void generate(),
    configureServer({ watcher }) {
      watcher.add(sources).on("change", (file) => {
        if (sources.some((folder) => file.startsWith(folder))) generate();
      });
    },
  };
}
