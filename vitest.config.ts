import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000 + FUZZ_MILLISECONDS,
    // Two also where there are only two cores: many tests wait for others, workers and browsers.
    maxWorkers: Math.max(2, availableParallelism() - 1),
  },
});
