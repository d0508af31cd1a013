import { existsSync, readFileSync, statSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { tex } from "@mdit/plugin-tex";
import katex from "katex";
import { defineConfig } from "vitepress";
import { NAV, pageOf, REPOSITORY } from "../nav.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (file) => readFileSync(`${root}/${file}`, "utf8");
const { description } = JSON.parse(read("package.json"));

// The main entry point's pages are shown, those of the others are collapsed.
const [main, ...subpaths] = JSON.parse(read("build/pages/api/sidebar.json"));
const reference = [{ ...main, collapsed: false }, ...subpaths];

const titleOf = (source) => /^# (.*)$/m.exec(read(source))[1];
const sourceOf = new Map(NAV.flatMap(({ pages }) => pages).map((source) => [pageOf(source), source]));
// The home page shows sections of the README.
sourceOf.set("index.md", "README.md");

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#3451b2"/>' +
  '<path d="M5 7c7 0 6 17 13 17h9" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round"/></svg>';

/**
 * Pages are written to be read on GitHub, too, so their links are paths in the repository: those to other pages become links
 * between pages, those to anything else links into the repository.
 */
function repositoryLinks(md) {
  md.core.ruler.push("repository-links", ({ tokens, env }) => {
    const source = sourceOf.get(env.relativePath);
    if (source === undefined) return;
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.type === "link_open" ? token.attrGet("href") : null;
      if (href === null || /^(#|[a-z]+:)/.test(href)) continue;
      const [path, anchor] = href.split("#");
      const target = posix.join(posix.dirname(source), path);
      const hash = anchor === undefined ? "" : `#${anchor}`;
      if (sourceOf.has(pageOf(target))) token.attrSet("href", `/${pageOf(target)}${hash}`);
      else if (target === "README.md") token.attrSet("href", `/${hash}`);
      else if (existsSync(`${root}/${target}`)) {
        const kind = statSync(`${root}/${target}`).isDirectory() ? "tree" : "blob";
        token.attrSet("href", `${REPOSITORY}/${kind}/main/${target}${hash}`);
      }
    }
  });
}

/** Formulas are typeset while the site is built: HTML for the eye, MathML for screen readers, no script. */
function formulas(md) {
  const render = (content, displayMode) => {
    const html = katex.renderToString(content, { displayMode, throwOnError: true, strict: "error" });
    return displayMode ? `<p v-pre>${html}</p>` : `<span v-pre>${html}</span>`;
  };
  md.use(tex, { delimiters: "dollars", mathFence: true, render });
}

export default defineConfig({
  title: "fused-adam",
  description,
  lang: "en",
  head: [["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  base: process.env.DOCS_BASE ?? "/",
  srcDir: "../../build/pages",
  outDir: "../../build/site",
  cacheDir: "../../build/vitepress-cache",
  cleanUrls: false,
  markdown: {
    // As GitHub does it, so that a link to a heading leads there on both.
    anchor: {
      slugify: (text) =>
        text
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
          .replaceAll(" ", "-"),
    },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config(md) {
      repositoryLinks(md);
      formulas(md);
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Quick start", link: "/quickstart" },
      { text: "Reference", link: "/api/" },
      { text: "Demo", link: "/demo/", target: "_self" },
      { text: "GitHub", link: REPOSITORY },
    ],
    sidebar: {
      "/": NAV.map(({ text, pages }) => ({
        text,
        items: pages.map((source) => ({ text: titleOf(source), link: `/${pageOf(source)}` })),
      })),
      "/api/": [{ text: "Reference", link: "/api/", items: reference }],
    },
  },
});
