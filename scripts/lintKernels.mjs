// Biome over the AssemblyScript, which it refuses to parse because of decorators on functions: over copies in which they are comments.
// With --write it formats, as `biome check --write` does.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const write = process.argv.includes("--write");
const files = ["assembly", "bench/assembly"].flatMap((folder) =>
  readdirSync(folder).flatMap((name) => (name.endsWith(".ts") ? [join(folder, name)] : [])),
);
const { formatter, linter } = JSON.parse(readFileSync("biome.json", "utf8"));
const { rules } = linter;
// The compiler folds a const enum, and has no imports of types.
Object.assign(rules.suspicious, { noConstEnum: "off" });
Object.assign(rules.style, { useImportType: "off" });

const copies = mkdtempSync(join(tmpdir(), "kernels-"));
try {
  writeFileSync(join(copies, "biome.json"), JSON.stringify({ formatter, linter }));
  for (const file of files) {
    mkdirSync(dirname(join(copies, file)), { recursive: true });
    writeFileSync(join(copies, file), readFileSync(file, "utf8").replace(/^@(?=\w+$)/gm, "//@"));
  }
  const biome = join(process.cwd(), "node_modules/@biomejs/biome/bin/biome");
  const args = ["check", ...(write ? ["--write"] : []), "assembly", "bench"];
  const { status } = spawnSync(process.execPath, [biome, ...args], { cwd: copies, stdio: "inherit" });
  process.exitCode = status ?? 1;
  if (write)
    for (const file of files)
      writeFileSync(file, readFileSync(join(copies, file), "utf8").replace(/^\/\/@(?=\w+$)/gm, "@"));
} finally {
  rmSync(copies, { recursive: true });
}
