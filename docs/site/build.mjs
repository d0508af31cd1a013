// Builds the documentation site into build/site: gathers the pages in build/pages, makes the reference from the docstrings, has
// VitePress build all of it, builds the demo's page into demo/, and checks every link. `DOCS_BASE=/folder/` for a site that is not at
// the root of its host.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { NAV, pageOf } from "./nav.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
process.chdir(`${here}/../..`);
const PAGES = "build/pages";

installTools();
gatherPages();
const { writeReference } = await import("./reference.mjs");
await writeReference(PAGES, "api");
execFileSync(process.execPath, [`${here}/node_modules/vitepress/bin/vitepress.js`, "build", here], {
  stdio: "inherit",
});
execFileSync(
  process.execPath,
  ["node_modules/vite/bin/vite.js", "build", "examples/web", "--outDir", resolve("build/site/demo")],
  { stdio: "inherit", env: { ...process.env, VITE_HOME: "../" } },
);
const { checkLinks } = await import("./links.mjs");
const { pages, links } = checkLinks("build/site", process.env.DOCS_BASE ?? "/");
console.log(`build/site: ${pages} pages, ${links} links between them`);

/** The site's tools have a lock file of their own, and are installed when they are first needed or have changed. */
function installTools() {
  const installed = "docs/site/node_modules/.package-lock.json";
  if (existsSync(installed) && statSync(installed).mtimeMs > statSync("docs/site/package-lock.json").mtimeMs) return;
  execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: here, stdio: "inherit" });
}

function gatherPages() {
  const listed = NAV.flatMap(({ pages }) => pages);
  const inDocs = readdirSync("docs");
  const written = inDocs.filter((file) => file.endsWith(".md"));
  const unlisted = written.map((file) => `docs/${file}`).filter((source) => !listed.includes(source));
  if (unlisted.length > 0) throw new Error(`docs/site/nav.mjs does not list ${unlisted.join(", ")}`);
  rmSync(PAGES, { recursive: true, force: true });
  mkdirSync(PAGES, { recursive: true });
  for (const source of listed) cpSync(source, `${PAGES}/${pageOf(source)}`);
  const pictures = inDocs.filter((file) => !file.endsWith(".md") && file !== "site");
  for (const folder of pictures) cpSync(`docs/${folder}`, `${PAGES}/${folder}`, { recursive: true });
  writeFileSync(
    `${PAGES}/index.md`,
    readFileSync(`${here}/home.md`, "utf8").replace(/<!-- readme: (.*) -->/g, section),
  );
}

/** A section of the README, heading included. */
function section(_, heading) {
  const [, found] = readFileSync("README.md", "utf8").split(new RegExp(`^(?=## ${heading}$)`, "m"));
  if (found === undefined) throw new Error(`docs/site/home.md: README.md has no section "${heading}"`);
  return found.split(/\n(?=## )/)[0];
}
