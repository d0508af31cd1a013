import { compile, TITLES } from "./typescript.js";
import { built, inNode, viteDev, type Way } from "./ways.js";

export interface Consumer {
  readonly name: string;
  /** The folder beside this file. */
  readonly project: string;
  /** The package that it is about, among its devDependencies. Default: the project's name, or what starts with it. */
  readonly tool?: string;
  /** The names that the package is installed under. Default: its own. */
  readonly names?: readonly string[];
  readonly run: Way;
  /** What must come of it: results with these names. */
  readonly runs: readonly string[];
  /** What they must be. Default: what the app's training comes to. */
  readonly expected?: unknown;
}

const PAGE = ["page", "worker"];
const STEPS = ["step", "stepAsync"];

/** The first of each line that has one without `process.getBuiltinModule`, and the newest. */
export const NODES = ["20.0.0", "22.0.0", "26.10.0"];

export const CONSUMERS: readonly Consumer[] = [
  // First, because it takes the longest.
  { name: "typescript", project: "typescript", runs: TITLES, run: compile, expected: "" },
  { name: "vite build", project: "vite", runs: PAGE, run: built() },
  { name: "vite dev, pre-bundled", project: "vite", runs: PAGE, run: viteDev },
  { name: "webpack 5", project: "webpack", runs: PAGE, run: built() },
  { name: "esbuild", project: "esbuild", runs: PAGE, run: built() },
  { name: "rollup", project: "rollup", runs: PAGE, run: built() },
  // In a worker its scope hoisting drops modules that are shared with what is loaded later: parcel-bundler/parcel#5503.
  { name: "parcel", project: "parcel", runs: ["page"], run: built() },
  { name: "parcel --no-scope-hoist", project: "parcel", runs: PAGE, run: built("--no-scope-hoist") },
  { name: "next, Turbopack", project: "next", runs: PAGE, run: built() },
  { name: "rsbuild", project: "rsbuild", tool: "@rsbuild/core", runs: PAGE, run: built() },
  { name: "sveltekit", project: "sveltekit", tool: "@sveltejs/kit", runs: PAGE, run: built() },
  { name: "bun build", project: "bun", tool: "@oven/bun-linux-x64-baseline", runs: PAGE, run: built() },
  { name: "no bundler, module", project: "plain", runs: PAGE, run: built() },
  { name: "no bundler, script", project: "script", runs: ["page"], run: built() },
  {
    name: "two copies in one page",
    project: "copies",
    names: ["fused-adam", "fused-adam-copy"],
    runs: ["one", "other", "both"],
    run: built(),
  },
  { name: "node, ESM", project: "node", runs: STEPS, run: inNode(["esm.mjs"]) },
  { name: "node, CommonJS", project: "node", runs: STEPS, run: inNode(["cjs.cjs"]) },
  ...NODES.flatMap((version) => [
    { name: `node ${version}, ESM`, project: "node", runs: STEPS, run: inNode(["esm.mjs"], version) },
    { name: `node ${version}, CommonJS`, project: "node", runs: STEPS, run: inNode(["cjs.cjs"], version) },
  ]),
  {
    name: "node --frozen-intrinsics",
    project: "node",
    runs: STEPS,
    run: inNode(["--frozen-intrinsics", "--no-warnings", "esm.mjs"]),
  },
  { name: "node, SES lockdown", project: "ses", runs: STEPS, run: inNode(["main.mjs"]) },
  ...["node", "jsdom"].map((environment) => ({
    ...{ name: `jest, ${environment}`, project: "jest", runs: STEPS },
    run: inNode(["run.js", environment]),
  })),
  ...["threads", "forks", "vmThreads"].map((pool) => ({
    ...{ name: `vitest, ${pool}`, project: "vitest", runs: STEPS },
    run: inNode(["run.js", pool]),
  })),
];
