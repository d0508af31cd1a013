/** Links between the pages, and from them into the repository, lead somewhere. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { anchorsOf, linksOf, PAGES } from "../support/markdown.js";
import { root } from "../support/root.js";

/** What a clone has: a file that only lies here is no target. */
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
}).split("\n");

/** What is wrong with a link, or undefined. */
function fault(file: string, target: string): string | undefined {
  if (/^https:\/\/[\w.-]+\.\w+(\/|$|#)/.test(target)) return undefined;
  if (/^[a-z]+:/i.test(target)) return "neither https nor a path";
  const [path, anchor] = target.split("#") as [string, string?];
  const to = path === "" ? file : posix.join(posix.dirname(file), path);
  const there = tracked.includes(to) || tracked.some((name) => name.startsWith(`${to.replace(/\/$/, "")}/`));
  if (!there) return `no ${to}`;
  if (anchor === undefined) return undefined;
  if (statSync(`${root}/${to}`).isDirectory() || !to.endsWith(".md")) return `no headings in ${to}`;
  return anchorsOf(to).has(anchor) ? undefined : `no heading #${anchor} in ${to}`;
}

describe("links", () => {
  it.each(PAGES)("%s: every one leads to a file that is there, and a heading that is in it", (page) => {
    const dead = linksOf(page).map(({ target }) => [target, fault(page, target)] as const);
    expect(dead.filter(([, wrong]) => wrong !== undefined)).toEqual([]);
  });

  it("there are some to follow", () => {
    expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(10);
  });
});
