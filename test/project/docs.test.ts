/**
 * Every code block of the README, of docs/ and of the docstrings' examples runs as it stands, against the built package, and prints
 * what the comments in it say. What cannot run here is in a table, with the reason; a block in neither fails.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import { CONSUMERS, NODES } from "../everywhere/consumers/table.js";
import { RUNTIMES } from "../everywhere/engines.js";
import { unless } from "../support/host.js";
import { type Block, blocksOf, examples, PAGES } from "../support/markdown.js";
import { noTorch, python } from "../support/python.js";
import { root } from "../support/root.js";
import { scratchInPackage } from "../support/scratch.js";

/** Blocks with a name: which test takes it from the page and runs it where it belongs. */
const TESTED: Record<string, string> = {
  opfs: "test/checkpoint/browser.test.ts",
  idb: "test/checkpoint/browser.test.ts",
  decoupled: "test/project/kernelDocs.test.ts",
  debug: "test/project/kernelDocs.test.ts",
  headers: "test/project/isolation.test.ts",
  nginx: "test/project/isolation.test.ts",
  vite: "test/project/isolation.test.ts",
  middleware: "test/project/isolation.test.ts",
  "headers-file": "test/project/isolation.test.ts",
  vercel: "test/project/isolation.test.ts",
  "service-worker": "test/project/isolation.test.ts",
  register: "test/project/isolation.test.ts",
  csp: "test/project/isolation.test.ts",
  "trusted-types": "test/project/isolation.test.ts",
  "module-page": "test/project/pages.test.ts",
  "script-page": "test/project/pages.test.ts",
  "disco-v3": "test/project/disco.test.ts",
};

/** Kinds of block that are not run one by one, and where they are held to be right instead. */
const KINDS: Record<string, string> = {
  math: "`npm run docs` typesets them, and fails on one that it cannot",
  diff: "test/project/kernelDocs.test.ts applies them, compiles and runs what comes of it",
};

/** Blocks that are pictures, and what says that they are right. */
const PICTURES: Record<string, string> = {
  layout: "the block below it prints these offsets",
  rooms: "test/project/architecture.test.ts looks for every room and entry point in it",
};

/** Commands that no test runs, and why. */
const COMMANDS: Record<string, string> = {
  "npm install fused-adam": "takes what the registry has, not what is here",
  "npm ci && npm test": "is what runs this; .ci/run starts with it",
  "npm run check": "contains this",
  "npm run dev": "runs until it is stopped",
  "npm run test:src -- state.test": "runs one of these tests, and not this one",
  "npm run format": "changes files",
  "npm run build:debug": "test/project/kernelDocs.test.ts runs it",
  "npm run bench": "measures for minutes, and speed is no matter for tests",
  "npm run demo": "trains for minutes; examples/digits checks its own results",
  "npm run demo:disco": "builds and installs; test/project/disco.test.ts runs the example",
  "npm run demo:zero1": "builds and installs; test/project/zero1.test.ts runs the example",
  "npm run demo:decoupling": "trains for minutes; test/project/decoupling runs it on a smaller grid",
  "npm run demo:precision": "trains for minutes; test/project/precision.test.ts runs a short version",
  "npm run demo:web": "serves until it is stopped; test/web builds the page and uses it",
  "npm run docs": "is part of `npm run check`",
  "npm run pack:check": "is part of `npm run check`",
  "npm run test:everywhere": "runs most of these tests elsewhere, and not this one; .ci/run runs it",
  "npm run test:consumers": "installs the package elsewhere; .ci/run runs it",
  "F=node_modules/fused-adam/python/fused_adam.py": "is where the package has it; release.test.ts looks",
  "python $F from-torch model.pt optimizer.pt run.safetensors": "test/checkpoint/torch.test.ts runs it",
  "python $F to-torch run.safetensors model.pt optimizer.pt": "test/checkpoint/torch.test.ts runs it",
  "npx fused-adam inspect run.safetensors": "test/files/inspect.test.ts runs it",
};

const dir = scratchInPackage();

const blocks = [...PAGES.flatMap(blocksOf), ...examples()];
const titled = (list: readonly Block[]) => list.map((block) => [`${block.file}:${block.line}`, block] as const);
const here = blocks.filter(({ note }) => note === undefined || note.key === "given");
const of = (...languages: string[]) => titled(here.filter(({ language }) => languages.includes(language)));

/** What the reader is to imagine in front of the block stands in a comment before it. */
function given({ note, code }: Block): string {
  return note === undefined ? code : `${note.text}\n${code}`;
}

/** What a block prints, its comments say: `console.log(x); // 1` in one language, `print(x)  # 1` in the other. */
function claimed(code: string, line: RegExp): string {
  return [...code.matchAll(line)].map(([, comment]) => comment!).join("\n");
}

describe("TypeScript and JavaScript", () => {
  it.each(of("ts", "js"))("%s runs, and prints what it says", (title, block) => {
    const folder = mkdtempSync(join(dir, "run-"));
    const file = join(folder, "block.mjs");
    writeFileSync(file, transformSync(given(block), { loader: "ts", format: "esm", target: "es2022" }).code);
    const printed = execFileSync(process.execPath, [file], { cwd: folder, encoding: "utf8" }).trim();
    expect(printed, title).toBe(claimed(block.code, /^ *console\.log\(.*\); \/\/ (.*)$/gm));
  });

  it("all of it type-checks under `strict`, as a reader's would", () => {
    const folder = mkdtempSync(join(dir, "types-"));
    of("ts").forEach(([, block], i) => {
      writeFileSync(join(folder, `block${i}.ts`), `// ${block.file}:${block.line}\n${given(block)}\nexport {};\n`);
    });
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: ["node"] },
      ...{ target: "es2022", lib: ["es2023", "dom"], module: "nodenext", moduleResolution: "nodenext" },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    expect(
      output(() => execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder])),
    ).toBe("");
  });
});

describe("Python, with Debian's python3-torch", unless(noTorch()), () => {
  it.each(of("python"))("%s runs, and prints what it says", (title, block) => {
    const folder = mkdtempSync(join(dir, "python-"));
    const printed = python(given(block), { cwd: folder }).trim();
    expect(printed, title).toBe(claimed(block.code, /^print\(.*\) {2}# (.*)$/gm));
  });
});

describe("shell", () => {
  const commands = of("sh").flatMap(([title, { code }]) =>
    code.split("\n").flatMap((line) => {
      const command = line.replace(/(^|\s)#.*/, "").trim();
      return command === "" ? [] : [[title, command] as const];
    }),
  );

  it.each(commands)("%s: `%s` is in the table, with a reason", (_, command) => {
    expect(COMMANDS[command]).toMatch(/\w+ \w+/);
  });

  it("the table has no command that stands nowhere", () => {
    expect(commands.map(([, command]) => command)).toEqual(expect.arrayContaining(Object.keys(COMMANDS)));
  });
});

describe("the rest", () => {
  it("lines of code have at most 75 characters, which is what a page is wide", () => {
    // Formulas are typeset; a header's value, a URL and a diff's lines are of one piece.
    const lines = blocks
      .filter(({ file, language }) => file !== "CONTRIBUTING.md" && !["math", "http", "diff"].includes(language))
      .flatMap(({ file, line, code }) => code.split("\n").map((text, i) => ({ at: `${file}:${line + i}`, text })));
    const long = lines.filter(({ text }) => text.length > 75 && !text.includes("https://"));
    expect(long.map(({ at, text }) => `${at}: ${text}`)).toEqual([]);
    expect(lines.length).toBeGreaterThan(500);
  });

  it.each(titled(blocks.filter(({ note }) => note?.key === "tested")))("%s: the named test takes it", (_, { note }) => {
    const test = TESTED[note!.text];
    expect(test, note!.text).toBeDefined();
    expect(readFileSync(join(root, test!), "utf8")).toContain(`"${note!.text}"`);
  });

  it.each(titled(blocks.filter(({ note }) => note?.key === "from")))("%s stands in the file it is from", (_, block) => {
    // Lines of a page are shorter than the source's.
    const joined = (text: string) => text.replace(/\s+/g, "");
    // Where something is left out, what is shown goes on after it.
    let rest = joined(readFileSync(join(root, block.note!.text), "utf8"));
    for (const part of block.code.split(/^ *\/\/ …\n/m).map(joined)) {
      expect(rest).toContain(part);
      rest = rest.slice(rest.indexOf(part) + part.length);
    }
  });

  it("every block is of a kind that is run, or one of a table here says why not", () => {
    const known = ["ts", "js", "python", "sh", ...Object.keys(KINDS)];
    const strays = here.filter(({ language }) => !known.includes(language));
    expect(strays.map(({ file, line, language }) => `${file}:${line}: ${language || "no language"}`)).toEqual([]);
  });

  it("docs/promises.md has the versions of the runtimes that run these tests, and of what the package is tried with", () => {
    const text = readFileSync(join(root, "docs/promises.md"), "utf8");
    const runtimes = RUNTIMES.flatMap(({ name, from }) => (from === undefined ? [] : [name.split(" ")[1]!]));
    const tools = CONSUMERS.flatMap(toolsOf);
    const versions = [...runtimes, ...NODES, ...tools];
    expect(versions.filter((version) => !text.includes(version))).toEqual([]);
    expect(Math.min(runtimes.length, NODES.length, tools.length)).toBeGreaterThan(2);
  });

  it("every note to the tests is one that they know", () => {
    const notes = blocks.flatMap(({ file, line, note }) => (note === undefined ? [] : [{ file, line, ...note }]));
    const strange = notes.filter(({ key, text }) => {
      if (key === "picture") return !Object.hasOwn(PICTURES, text);
      return !["given", "tested", "from"].includes(key);
    });
    expect(strange).toEqual([]);
  });
});

/** The versions of what a consumer is about. */
function toolsOf({ project, tool = project }: (typeof CONSUMERS)[number]): string[] {
  const manifest = readFileSync(join(root, `test/everywhere/consumers/${project}/package.json`), "utf8");
  const { devDependencies = {} }: { devDependencies?: Record<string, string> } = JSON.parse(manifest);
  const tools = Object.entries(devDependencies).filter(([name]) => name === tool || name.startsWith(`${tool}-`));
  return tools.map(([, version]) => version.replace(/^npm:.*@/, ""));
}

/** What a command says when it fails. */
function output(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}
