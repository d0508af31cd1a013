import { Parcel } from "@parcel/core";

const bundler = new Parcel({
  entries: "index.html",
  defaultConfig: "@parcel/config-default",
  mode: "production",
  shouldDisableCache: true,
  defaultTargetOptions: {
    distDir: "dist",
    sourceMaps: false,
    shouldScopeHoist: !process.argv.includes("--no-scope-hoist"),
  },
});
await bundler.run();
