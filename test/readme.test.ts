/** Every TypeScript block of these pages runs as it stands, against the built package. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
// Inside the package, so that "fused-adam" resolves to it.
const dir = mkdtempSync(join(root, "build/readme-"));
afterAll(() => rmSync(dir, { recursive: true }));

const PAGES = ["README.md", "docs/embedding.md"];
const blocks = PAGES.flatMap((page) =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map(
    ([, code], i) => [page, i + 1, code!] as const,
  ),
);

/** Where a line that prints says what, in a comment behind it, it prints that. */
it.each(blocks)("%s: block %i runs, and prints what it says", (page, i, code) => {
  const file = join(dir, `${page.replace(/\W/g, "-")}-${i}.ts`);
  writeFileSync(file, code);
  const printed = execFileSync(process.execPath, ["--import", "tsx", file], { cwd: dir, encoding: "utf8" }).trim();
  const claimed = [...code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment]) => comment!);
  expect(printed).toBe(claimed.join("\n"));
});
