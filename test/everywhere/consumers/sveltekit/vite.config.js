import { sveltekit } from "@sveltejs/kit/vite";
import { defineConfig } from "vite";

export default defineConfig({
  logLevel: "warn",
  plugins: [sveltekit()],
  // Says on a busy machine that plugins take long.
  build: { rolldownOptions: { checks: { pluginTimings: false } } },
});
