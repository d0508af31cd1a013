import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/**
 * Checks that every link of a built site leads to an existing file, and to an element with that id.
 *
 * @throws Error that lists those that lead nowhere
 */
export function checkLinks(root, base) {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(root, posix.join(entry.parentPath ?? entry.path, entry.name)));
  const pages = files.filter((file) => file.endsWith(".html"));
  const html = new Map(pages.map((page) => [page, readFileSync(`${root}/${page}`, "utf8")]));
  const ids = new Map([...html].map(([page, text]) => [page, new Set(attributes(text, "id"))]));

  const dead = [];
  let links = 0;
  for (const [page, text] of html) {
    for (const link of [...attributes(text, "href"), ...attributes(text, "src")]) {
      if (/^[a-z]+:|^\/\//.test(link)) continue;
      links++;
      const [path, id] = link.split("#").map(decodeURIComponent);
      const target = resolve(page, path, base);
      const file = [target, `${target}.html`, posix.join(target, "index.html")].find((name) => files.includes(name));
      if (file === undefined) dead.push(`${page}: ${link}: no such file`);
      else if (id && ids.has(file) && !ids.get(file).has(id)) dead.push(`${page}: ${link}: no such place on the page`);
    }
  }
  if (dead.length > 0) throw new Error(`links that lead nowhere:\n  ${dead.join("\n  ")}`);
  return { pages: pages.length, links };
}

/** Where a link leads to, as a path below the site's root. */
function resolve(page, path, base) {
  if (path === "") return page;
  const below = path.startsWith(base)
    ? path.slice(base.length)
    : path.startsWith("/")
      ? undefined
      : posix.join(posix.dirname(page), path);
  return below ?? "outside of the site";
}

function attributes(html, name) {
  const values = [...html.matchAll(new RegExp(`<[a-z][^>]*?\\s${name}="([^"]*)"`, "gi"))];
  return values.map(([, value]) => value.replaceAll("&amp;", "&"));
}
