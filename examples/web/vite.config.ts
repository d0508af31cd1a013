import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import manifest from "../../package.json" with { type: "json" };
import { compile } from "../decoupling/compile.js";
import { loadDigits } from "../shared/digits.js";
import { HELD_OUT_SIZE, SEED, TRAIN_SIZE } from "../shared/task.js";
import { encodeSplit } from "./compact.js";

// Where the page's name leads: the documentation, if the page is part of its site.
process.env.VITE_HOME ??= manifest.homepage;

/** The headers that a page needs for threads: they make it cross-origin isolated, and it may share memory. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** `digits.bin`: served on request in development, written beside the page in a build. */
function digits(): Plugin {
  const make = () => gzipSync(encodeSplit(loadDigits(TRAIN_SIZE, HELD_OUT_SIZE, SEED)), { level: 9 });
  return {
    name: "digits",
    configureServer({ middlewares }) {
      middlewares.use("/digits.bin", (_request, response) => response.end(make()));
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "digits.bin", source: make() });
    },
  };
}

/** `network.wasm`: what the second view trains with. */
function network(): Plugin {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const make = () => compile(path("../decoupling/out/network.wasm"));
  return {
    name: "network",
    configureServer({ middlewares }) {
      middlewares.use("/network.wasm", (_request, response) => {
        response.setHeader("content-type", "application/wasm").end(make());
      });
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "network.wasm", source: make() });
    },
  };
}

/** `_headers`: the isolation headers in the form that several static hosts read. */
function headersFile(): Plugin {
  const lines = Object.entries(ISOLATION).map(([name, value]) => `  ${name}: ${value}\n`);
  return {
    name: "headers-file",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "_headers", source: `/*\n${lines.join("")}` });
    },
  };
}

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // Relative: the built page runs in any folder of any host.
  base: "./",
  plugins: [digits(), network(), headersFile()],
  worker: { format: "es" },
  // Listed here because Vite finds what workers import only when they start, and then reloads the page, whose training is lost.
  optimizeDeps: {
    include: [
      "@assemblyscript/loader",
      "@tensorflow/tfjs-backend-cpu",
      "@tensorflow/tfjs-backend-wasm",
      "@tensorflow/tfjs-backend-webgl",
      "@tensorflow/tfjs-backend-webgpu",
      "@tensorflow/tfjs-core",
      "simple-statistics",
      "uplot",
    ],
  },
  server: { headers: ISOLATION },
  preview: { headers: ISOLATION },
  build: {
    outDir: fileURLToPath(new URL("../../build/demo", import.meta.url)),
    emptyOutDir: true,
    rolldownOptions: {
      input: ["index.html", "grid.html"].map((page) => fileURLToPath(new URL(page, import.meta.url))),
    },
  },
});
