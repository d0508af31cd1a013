import { createRsbuild } from "@rsbuild/core";

const rsbuild = await createRsbuild({
  config: {
    source: { entry: { index: "./page.js" } },
    html: { tags: [{ tag: "link", attrs: { rel: "icon", href: "data:," } }] },
    logLevel: "warn",
  },
});
await rsbuild.build();
