import { readFileSync } from "node:fs";

const text = readFileSync(new URL("../../docs/checkpoints.md", import.meta.url), "utf8");

/** The code that docs/checkpoints.md shows after `<!-- tested: name -->`. */
export function recipe(name: string): string {
  const code = new RegExp(`<!-- tested: ${name} -->\n\`\`\`\\w+\n(.*?)\n\`\`\``, "s").exec(text)?.[1];
  if (code === undefined) throw new Error(`no recipe ${name} in docs/checkpoints.md`);
  return code;
}
