/**
 * The site's pages: what the sidebar shows, in this order, and where each is written. Titles are the pages' own. A page of docs/ that
 * stands nowhere here fails the build, so does one that is listed and missing.
 */
export const NAV = [
  { text: "Guide", pages: ["docs/quickstart.md", "docs/family.md", "docs/promises.md", "docs/migrating.md"] },
  {
    text: "In use",
    pages: [
      "docs/tfjs.md",
      "docs/disco.md",
      "docs/embedding.md",
      "docs/threads.md",
      "docs/checkpoints.md",
      "docs/benchmarks.md",
    ],
  },
  {
    text: "Inside",
    pages: [
      "docs/architecture.md",
      "docs/arithmetic.md",
      "docs/subnormals.md",
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
