/** What is published, and how: the files of the tarball, the version and the changelog as changesets make them, the workflows. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../support/root.js";
import { MODULE_NAMES } from "../support/wasm.js";

const read = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(read("package.json"));
/** The entry points' names, without the package's own. */
const subpaths = Object.keys(manifest.exports)
  .filter((path) => path !== "." && manifest.exports[path].import !== undefined)
  .map((path) => path.slice(2));

it("sizes that pages state are the budgets of `npm run size`: README at most 0.1 KB above, others rounded", () => {
  const script = read("scripts/size.mjs");
  const budget = (pattern: RegExp) => Number(pattern.exec(script)![1]);
  const stated = (page: string, pattern: RegExp) => Number(pattern.exec(read(page))![1]);
  const all = budget(/entries: \["\."\], kilobytes: ([\d.]+)/);
  const core = budget(/entries: \["\."\], without: \[LOADER\], kilobytes: ([\d.]+)/);
  const tfjs = budget(/entries: \["\.", "\.\/tfjs"\], without: \[LOADER\], kilobytes: ([\d.]+)/);
  const tfjsWithoutGpu = budget(/without: \[LOADER, GPU\], kilobytes: ([\d.]+)/);
  const halves = budget(/"half-simd": ([\d.]+)/) + budget(/halves: ([\d.]+)/);

  const small = stated("README.md", /Under ([\d.]+) KB with its one dependency/);
  expect(small).toBeGreaterThanOrEqual(all);
  expect(small).toBeLessThan(all + 0.1);
  expect(stated("docs/precision.md", /some (\d+) KB in a page/)).toBe(Math.round(halves));
  expect(stated("docs/tfjs.md", /takes (\d+) KB \(brotli\)/)).toBe(Math.round(tfjs - tfjsWithoutGpu));
  expect(stated("docs/tfjs.md", /of the (\d+) KB that/)).toBe(Math.round(tfjs - core));
});

describe("the tarball", () => {
  const listed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const files: string[] = JSON.parse(listed)[0].files.map(({ path }: { path: string }) => path);

  it("has these files and no others: of each source its code and its types in both formats, the modules, the papers", () => {
    // What is not compiled by itself is inlined in what is.
    const { exclude } = JSON.parse(read("tsconfig.build.json"));
    const sources = readdirSync(join(root, "src"), { recursive: true })
      .map(String)
      .filter((path) => path.endsWith(".ts") && !exclude.includes(`src/${path}`))
      .map((path) => path.slice(0, -3));
    const expected = [
      ...["LICENSE", "README.md", "CHANGELOG.md", "package.json", "python/fused_adam.py"],
      ...["esm", "cjs"].flatMap((format) => [
        `dist/${format}/package.json`,
        ...sources.flatMap((path) => [`dist/${format}/${path}.js`, `dist/${format}/${path}.d.ts`]),
      ]),
      ...MODULE_NAMES.map((name) => `dist/wasm/${name}.wasm`),
      ...["dist/browser/fused-adam.js", "dist/browser/fused-adam.mjs"],
      ...subpaths.map((name) => `${name}/package.json`),
    ];
    expect(files.sort()).toEqual(expected.sort());
  });

  it("the folder of an entry point says what `exports` says of it", () => {
    for (const name of subpaths) {
      const { import: esm, require: cjs } = manifest.exports[`./${name}`];
      const { main, module, types, ...rest } = JSON.parse(read(`${name}/package.json`));
      const from = (path: string) => `./${join(name, path)}`;
      expect([from(main), from(module), from(types), rest]).toEqual([cjs.default, esm.default, esm.types, {}]);
    }
    expect(subpaths.length).toBeGreaterThan(3);
  });

  // `npm run test:consumers` compiles them, which takes longer.
  it("declarations that users read have types of TypeScript 5.0's libraries alone, or take them from src/checks/libraries.ts", () => {
    const seen = new Set(
      [".", ...subpaths.map((name) => `./${name}`)].map((path) => manifest.exports[path].import.types),
    );
    for (const path of seen) {
      const text = read(path).replace(/\/\*.*?\*\/|\/\/.*/gs, "");
      for (const [, target] of text.matchAll(/from "(\.[^"]*)\.js"|import\("(\.[^"]*)\.js"\)/g))
        seen.add(join(dirname(path), `${target}.d.ts`));
      if (!path.endsWith("checks/libraries.d.ts")) {
        expect(text, path).not.toMatch(/Array<ArrayBuffer|\bWebAssembly\.|Symbol\.(?:async)?[dD]ispose/);
      }
    }
    expect([...seen].some((path) => path.endsWith("checks/libraries.d.ts"))).toBe(true);
  });

  it("everything that package.json points to is in it", () => {
    const targets = JSON.stringify([
      manifest.main,
      manifest.module,
      manifest.types,
      manifest.bin,
      manifest.exports,
      manifest.unpkg,
      manifest.jsdelivr,
    ]);
    for (const [, path] of targets.matchAll(/"\.\/(dist\/[^"*]+)"/g)) expect(files).toContain(path);
  });

  it("the code refers to no source maps: there are none, it is what TypeScript leaves of the sources, comments included", () => {
    for (const path of files.filter((path) => path.endsWith(".js"))) {
      expect(read(path), path).not.toContain("sourceMappingURL");
    }
  });

  it("provenance can be proved: repository, homepage and bugs are of one place", () => {
    const [, place] = /^git\+(https:\/\/github\.com\/[\w-]+\/[\w-]+)\.git$/.exec(manifest.repository.url)!;
    expect([manifest.homepage, manifest.bugs]).toEqual([`${place}#readme`, `${place}/issues`]);
    expect(read("docs/site/nav.mjs")).toContain(`"${place}"`);
  });
});

describe("changesets", () => {
  it("a minor change to this version: the next one, and its section above the last one's in the changelog", () => {
    const copy = mkdtempSync(join(tmpdir(), "fused-adam-version-"));
    try {
      for (const path of ["package.json", "CHANGELOG.md"]) writeFileSync(join(copy, path), read(path));
      mkdirSync(join(copy, ".changeset"));
      writeFileSync(join(copy, ".changeset/config.json"), read(".changeset/config.json"));
      writeFileSync(join(copy, ".changeset/new-thing.md"), '---\n"fused-adam": minor\n---\n\nA new thing.\n');
      symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
      const git = (...args: string[]) =>
        execFileSync("git", ["-c", "user.name=test", "-c", "user.email=test@example.org", ...args], { cwd: copy });
      git("init", "--quiet", "--initial-branch=main");
      git("add", "package.json", "CHANGELOG.md", ".changeset");
      git("commit", "--quiet", "--message=start");
      const changeset = join(root, "node_modules/@changesets/cli/bin.js");
      execFileSync(process.execPath, [changeset, "version"], { cwd: copy, stdio: "pipe" });

      const [major, minor] = manifest.version.split(".").map(Number);
      const next = `${major}.${minor + 1}.0`;
      expect(JSON.parse(readFileSync(join(copy, "package.json"), "utf8")).version).toBe(next);
      const sections = readFileSync(join(copy, "CHANGELOG.md"), "utf8").split(/^## /m);
      expect(sections[0]).toBe("# Changelog\n\n");
      expect(sections[1]).toMatch(
        new RegExp(`^${next.replaceAll(".", "\\.")}\n\n### Minor Changes\n\n- [^\n]*A new thing\\.\n`),
      );
      expect(sections[2]).toMatch(new RegExp(`^${manifest.version.replaceAll(".", "\\.")}\n`));
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });
});

describe("workflows", () => {
  const workflows = readdirSync(join(root, ".github/workflows")).map(
    (file) => [file, read(`.github/workflows/${file}`)] as const,
  );

  it.each(workflows)("%s: other people's actions are named by commit, with the version beside it", (_, text) => {
    const uses = [...text.matchAll(/uses: (\S+)(.*)/g)].filter(([, action]) => !action!.startsWith("./"));
    for (const [line] of uses) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it.each(workflows)("%s: may by itself only read", (_, text) => {
    expect(/^permissions:\n((?: .*\n)+)/m.exec(text)?.[1]).toBe("  contents: read\n");
  });

  it("a release comes after the whole check, proves where it was built, and uses no stored token", () => {
    const text = workflows.find(([file]) => file === "release.yml")![1];
    expect(text).toMatch(/check:\n {4}uses: \.\/\.github\/workflows\/ci\.yml/);
    expect(text).toContain("needs: check");
    expect(text).toContain("id-token: write");
    expect(text).toContain('NPM_CONFIG_PROVENANCE: "true"');
    expect(text).not.toMatch(/secrets\.|NPM_TOKEN|NODE_AUTH_TOKEN/);
    expect(workflows.find(([file]) => file === "ci.yml")![1]).toContain("bash .ci/run");
  });
});

describe.each(["package-lock.json", "docs/site/package-lock.json"])("%s", (path) => {
  const packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }> = JSON.parse(
    read(path),
  ).packages;

  it("lists the binaries of every platform, not only of the one where it was made", () => {
    const names = new Set(Object.keys(packages).map((key) => key.replace(/^.*node_modules\//, "")));
    const optional = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
    expect(optional.filter((name) => !names.has(name))).toEqual([]);
    expect(optional.length).toBeGreaterThan(20);
  });

  it("names no registry", () => {
    expect(Object.values(packages).flatMap(({ resolved }) => resolved ?? [])).toEqual([]);
  });
});
