// The rule of the rooms: which folder of src/ may import which. `npm run rooms` checks it, imports of types included;
// docs/architecture.md draws it.
import { readFileSync } from "node:fs";

/** Lowest first. A room may import the rooms named here, and nothing of a room that is not. */
export const ROOMS = {
  generated: [],
  checks: [],
  schedules: ["checks"],
  memory: ["checks"],
  kernels: ["memory", "checks", "generated"],
  threads: ["kernels", "memory", "checks", "generated"],
  optimizer: ["threads", "kernels", "memory", "checks", "generated"],
  checkpoint: ["optimizer", "memory", "checks", "generated"],
  shards: ["checkpoint", "optimizer", "memory", "checks"],
  files: ["shards", "checkpoint", "optimizer", "checks"],
  "adapters/tfjs": ["optimizer", "kernels", "memory", "checks"],
  "adapters/jax": ["optimizer", "kernels", "memory", "checks"],
};

/** What comes from elsewhere, and the only files that may import it. */
const FROM_ELSEWHERE = {
  "node:": [{ dependencyTypes: ["core"] }, "^src/(files/|(node|cli|index\\.node)\\.ts$)"],
  "@assemblyscript/loader": [{ path: "@assemblyscript/" }, "^src/kernels/loader\\.ts$"],
  "@tensorflow/tfjs-core": [{ path: "@tensorflow/" }, "^src/adapters/tfjs/"],
  "@jax-js/jax": [{ path: "@jax-js/" }, "^src/(adapters/jax/|jax\\.ts$)"],
};

const { exports, bin } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const compiled = [
  ...Object.values(exports).flatMap((target) => Object.values(target.import ?? {})),
  ...Object.values(bin),
];
const ENTRIES = compiled.flatMap((path) => path.match(/^\.\/dist\/esm\/([\w.]+)\.js$/)?.[1] ?? []);

const inside = (rooms) => `^src/(${rooms.join("|")})/`;
const error = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

export default {
  forbidden: [
    error("no-circle", "files import each other in a circle", {}, { circular: true }),
    error("no-orphan", "nothing imports this file, and it imports nothing", { orphan: true, path: "^src/" }, {}),
    error(
      "entries-at-the-root",
      "what stands in src/ itself is exported by package.json",
      { path: "^src/[^/]+$", pathNot: `^src/(${ENTRIES.join("|")})\\.ts$` },
      {},
    ),
    error(
      "a-room-for-each-folder",
      "a folder of src/ has a row in ROOMS",
      { path: "^src/[^/]+/", pathNot: inside(Object.keys(ROOMS)) },
      {},
    ),
    ...Object.entries(ROOMS).map(([room, others]) =>
      error(
        room,
        `${room} may import ${others.join(", ") || "no other room"}`,
        { path: inside([room]) },
        { path: "^(src|assembly|bench|examples|test)/", pathNot: inside([room, ...others]) },
      ),
    ),
    ...Object.entries(FROM_ELSEWHERE).map(([name, [to, pathNot]]) =>
      error(name, `${name} is imported in one place`, { path: "^src/", pathNot }, to),
    ),
    error("examples", "an example imports what a user can", { path: "^examples/" }, { path: "^(src|test|bench)/" }),
  ],
  options: {
    // Reads TypeScript without its compiler, of whose version 7 dependency-cruiser knows nothing.
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
  },
};
