import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** With these a page is cross-origin isolated, and its workers may share memory. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  worker: { format: "es" },
  server: { headers },
  preview: { headers },
  build: { outDir: fileURLToPath(new URL("../../build/worker", import.meta.url)), emptyOutDir: true },
});
