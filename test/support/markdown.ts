/** What tests read of the pages that people read: code blocks, links, headings. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { root } from "./root.js";

/** The pages, as paths in the repository. One that is added is tested from then on. */
export const PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "bench/NOTES.md"]
  .filter((page) => existsSync(`${root}/${page}`))
  .concat(
    readdirSync(`${root}/docs`, { recursive: true })
      .map(String)
      .filter(isPage)
      .map((page) => `docs/${page}`),
  );

function isPage(path: string): boolean {
  return path.endsWith(".md") && !path.startsWith("site/");
}

export interface Block {
  readonly file: string;
  /** Of its first line of code, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** What an HTML comment right before it says to the tests, as `<!-- key: text -->`. */
  readonly note: { readonly key: string; readonly text: string } | undefined;
}

const NOTE = /<!-- (\w+):\s+((?:(?!-->).)*?)\s*-->\n$/s;

/** The fenced code blocks of a page. @throws Error for an indented one, which no highlighter and no test would know what to do with */
export function blocksOf(file: string): Block[] {
  const text = readFileSync(`${root}/${file}`, "utf8");
  const blocks = [...text.matchAll(/^(`{3,}|~{3,})(\w*)[^\n]*\n(.*?)^\1$\n?/gms)].map((match): Block => {
    const [, , language, code] = match;
    const before = text.slice(0, match.index);
    const note = NOTE.exec(before);
    return {
      file,
      line: before.split("\n").length + 1,
      language: language!,
      code: code!,
      note: note === null ? undefined : { key: note[1]!, text: note[2]! },
    };
  });
  const indented = /\n\n( {4}|\t)(?! *([-*]|\d+\.) )[^\n]*/.exec(prose(text));
  if (indented !== null) throw new Error(`${file}: an indented block, fence it: ${indented[0].trim()}`);
  return blocks;
}

/** The code after `<!-- tested: name -->`. */
export function recipe(file: string, name: string): string {
  const block = blocksOf(file).find(({ note }) => note?.key === "tested" && note.text === name);
  if (block === undefined) throw new Error(`no recipe ${name} in ${file}`);
  return block.code;
}

/** A page without its code blocks. */
function prose(text: string): string {
  return text.replace(/^(`{3,}|~{3,})[^\n]*\n.*?^\1$/gms, "");
}

export interface Link {
  readonly file: string;
  readonly target: string;
}

/** Links and images, inline and by reference. */
export function linksOf(file: string): Link[] {
  const text = prose(readFileSync(`${root}/${file}`, "utf8")).replace(/`[^`\n]*`/g, "");
  const targets = [...text.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)|^\[[^\]]+\]:\s*(\S+)/gm)];
  return targets.map(([, inline, reference]) => ({ file, target: (inline ?? reference)! }));
}

/** What `#…` can lead to on a page, made of its headings as GitHub does it. */
export function anchorsOf(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(readFileSync(`${root}/${file}`, "utf8")).matchAll(/^#{1,6} +(.*?)\s*$/gm)) {
    const text = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = text.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The `@example`s of the docstrings in src/, as blocks. */
export function examples(): Block[] {
  const files = readdirSync(`${root}/src`, { recursive: true }).map((path) => `src/${path}`);
  return files
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = readFileSync(`${root}/${file}`, "utf8");
      return [...text.matchAll(/^ *\* @example\n((?: *\*(?!\/| @).*\n)+)/gm)].map((match): Block => {
        const line = text.slice(0, match.index).split("\n").length + 1;
        const code = match[1]!.replace(/^ *\* ?/gm, "").replace(/^```\w*\n/gm, "");
        return { file, line, language: "ts", code, note: undefined };
      });
    });
}
