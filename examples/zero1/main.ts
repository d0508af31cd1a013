/** Starts the ranks, and compares what they have saved with one process. `tsx main.ts [PARAMETERS]` */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { AdamW } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { loadShardFiles } from "fused-adam/node";
import { SHAPES } from "../shared/model.js";
import { type Kind, NAMES, OPTIONS } from "./batches.js";
import { trainAlone } from "./one.js";

/** From one epoch to another, on so many ranks. */
const RUNS = [
  { ranks: 2, from: 0, to: 2 },
  { ranks: 4, from: 2, to: 4 },
  { ranks: 1, from: 4, to: 5 },
];
const EPOCHS = 5;
/** How far a parameter may be off one process where gradients are real numbers, in units of the learning rate. */
const BOUND = 1;
/** Of the model that is measured. */
const PARAMETERS = Number(process.argv[2] ?? 5_000_000);

/** A rank's script as plain JavaScript, which starts quickest. */
function compiled(script: string): string {
  const outfile = join(here, "out", `${script}.mjs`);
  const entryPoints = [join(here, `${script}.ts`)];
  buildSync({ entryPoints, outfile, bundle: true, format: "esm", platform: "node", packages: "external" });
  return outfile;
}

const here = dirname(fileURLToPath(import.meta.url));
const SCRIPTS = { rank: compiled("rank"), measure: compiled("measure") };

function mpiexec(ranks: number, script: keyof typeof SCRIPTS, ...args: unknown[]): string {
  const command = ["-n", String(ranks), process.execPath, SCRIPTS[script], ...args.map(String)];
  // Ranks wait by asking again and again. Where there are more of them than cores, one that waits has to let the others run.
  const env = { ...process.env, ...(ranks > availableParallelism() && { MPIR_CVAR_POLLS_BEFORE_YIELD: "1" }) };
  return execFileSync("mpiexec", command, { encoding: "utf8", env, stdio: ["ignore", "pipe", "inherit"] });
}

async function inFolder<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "zero1-"));
  try {
    return await run(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** On 2, 4 and 1 ranks after each other. @returns the whole state, loaded into one process */
function trainOnRanks(kind: Kind): Promise<AdamW> {
  return inFolder(async (directory) => {
    for (const { ranks, from, to } of RUNS) process.stdout.write(mpiexec(ranks, "rank", kind, directory, from, to));
    const tensors = NAMES.map((name) => [name, { shape: SHAPES[name] }]);
    const optimizer = AdamW.createSync(Object.fromEntries(tensors), OPTIONS);
    await loadShardFiles(join(directory, `epoch-${EPOCHS}`), optimizer);
    return optimizer;
  });
}

function largestDifference(one: AdamW, other: AdamW): number {
  let largest = 0;
  for (const name of NAMES) {
    const values = other.param(name);
    one.param(name).forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - values[i]!));
    });
  }
  return largest;
}

let failed = false;
const check = (holds: boolean, text: string) => {
  console.log(text);
  failed ||= !holds;
};

console.log("Gradients that are whole numbers:");
const whole = await trainOnRanks("whole");
const same = Buffer.compare(encodeCheckpoint(whole), encodeCheckpoint(trainAlone("whole", EPOCHS))) === 0;
check(same, same ? "no bit off one process: parameters, moments, steps" : "NOT the bits of one process");

console.log("\nGradients as they are:");
const off = largestDifference(await trainOnRanks("real"), trainAlone("real", EPOCHS)) / OPTIONS.lr;
check(off <= BOUND, `no parameter more than ${off.toFixed(3)} learning rates off one process (bound: ${BOUND})`);

console.log(`\n${PARAMETERS / 1e6} million parameters: megabytes of a rank; milliseconds, medians`);
console.log("ranks  model  optimizer  reduce-scatter    step  all-gather    save  complete    load");
await inFolder(async (directory) => {
  for (const ranks of [1, 2, 4]) {
    const isCrowded = ranks > availableParallelism();
    const args = [PARAMETERS, isCrowded ? 3 : 15, directory];
    const measured = JSON.parse(mpiexec(ranks, "measure", ...args));
    const { model, optimizer, reduceScatter, step, allGather, save, complete, load } = measured;
    const numbers: number[] = [model / 1e6, optimizer / 1e6, reduceScatter, step, allGather, save, complete, load];
    const widths = [7, 11, 16, 8, 12, 8, 10, 8];
    const cells = numbers.map((number, i) => number.toFixed(1).padStart(widths[i]!));
    const remark = isCrowded ? "  more ranks than cores: times mean little" : "";
    console.log(String(ranks).padStart(5) + cells.join("") + remark);
  }
});
process.exitCode = failed ? 1 : 0;
