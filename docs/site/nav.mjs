/**
 * The site's pages, in the order of the sidebar. Titles come from the pages. The build fails for a page of docs/ that is not listed
 * here, and for one that is listed and missing.
 */
export const NAV = [
  { text: "Guide", pages: ["docs/quickstart.md", "docs/family.md", "docs/promises.md", "docs/migrating.md"] },
  {
    text: "In use",
    pages: [
      "docs/recipes.md",
      "docs/tfjs.md",
      "docs/disco.md",
      "docs/embedding.md",
      "docs/threads.md",
      "docs/checkpoints.md",
      "docs/scale.md",
      "docs/benchmarks.md",
    ],
  },
  {
    text: "Inside",
    pages: [
      "docs/architecture.md",
      "docs/arithmetic.md",
      "docs/subnormals.md",
      "docs/precision.md",
      "docs/kernels.md",
      "docs/adding-a-kernel.md",
    ],
  },
  { text: "Project", pages: ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] },
];

export const REPOSITORY = "https://github.com/fused-adam/fused-adam";

/** A source's page on the site: "docs/threads.md" is threads.md, "CHANGELOG.md" changelog.md. */
export function pageOf(source) {
  return source.replace(/^docs\//, "").toLowerCase();
}
