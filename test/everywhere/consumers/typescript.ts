/** Type-checks the declarations as a program's author may: each TypeScript that is named, with each way to resolve modules. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const { devDependencies }: { devDependencies: Record<string, string> } = JSON.parse(
  readFileSync(new URL("typescript/package.json", import.meta.url), "utf8"),
);
const VERSIONS = Object.keys(devDependencies).flatMap((name) => name.match(/^typescript-(.*)/)?.[1] ?? []);

const MODULES = {
  nodenext: { module: "nodenext" },
  bundler: { module: "esnext", moduleResolution: "bundler" },
  // Before 7.0 it does not read package.json's `exports`.
  commonjs: { module: "commonjs" },
};

/** What is there beside the language, the files that need no more than that, and how their imports are resolved. */
const LIBRARIES: Readonly<
  Record<
    string,
    {
      readonly lib: readonly string[];
      readonly types: readonly string[];
      readonly files: readonly string[];
      readonly modules: readonly (keyof typeof MODULES)[];
    }
  >
> = {
  dom: { lib: ["es2022", "dom"], types: [], files: ["all.ts", "use.ts"], modules: ["nodenext", "bundler", "commonjs"] },
  node: { lib: ["es2022"], types: ["node"], files: ["all.ts", "use.ts"], modules: ["nodenext"] },
  // Since 5.2.
  using: {
    ...{ lib: ["es2022", "dom", "esnext.disposable"], types: [] },
    ...{ files: ["using.ts"], modules: ["nodenext"] },
  },
};

const checks = VERSIONS.flatMap((version) =>
  Object.entries(LIBRARIES)
    .filter(([name]) => name !== "using" || version >= "5.2")
    .flatMap(([name, { modules, files, lib, types }]) =>
      modules.map((kind) => ({
        ...{ title: `${version}, ${kind}, ${name}`, version, files },
        options: { ...MODULES[kind], lib, types },
      })),
    ),
);

export const TITLES = checks.map(({ title }) => title);

/** What the compilers say of the package and of programs that use it, by title. */
export async function compile(dir: string): Promise<Record<string, string>> {
  const { exports } = JSON.parse(readFileSync(`${dir}/node_modules/fused-adam/package.json`, "utf8"));
  const entries = Object.keys(exports).filter((subpath) => exports[subpath].import !== undefined);
  const lines = entries.map((subpath, i) => `export * as entry${i} from "fused-adam${subpath.slice(1)}";\n`);
  writeFileSync(`${dir}/all.ts`, lines.join(""));
  const results: Record<string, string> = {};
  for (const [i, { title, version, files, options }] of checks.entries()) {
    const project = `${dir}/tsconfig.${i}.json`;
    const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, target: "es2022", ...options };
    writeFileSync(project, JSON.stringify({ compilerOptions, files }));
    results[title] = await new Promise((resolve) => {
      const tsc = `${dir}/node_modules/typescript-${version}/bin/tsc`;
      execFile(process.execPath, [tsc, "--pretty", "false", "-p", project], { cwd: dir }, (error, stdout, stderr) => {
        const said = `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !isOthers(line));
        resolve(said.join("\n") || (error === null || stdout !== "" ? "" : String(error)));
      });
    });
  }
  return results;
}

/** Peers' declarations have errors of their own; lines that go on start with spaces. */
function isOthers(line: string): boolean {
  return /^\s|^node_modules\/(?!fused-adam\/)/.test(line);
}
