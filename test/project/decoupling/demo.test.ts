/** `npm run demo:decoupling -- --quick addition`: run, killed and gone on with. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { slopeOf } from "../../../examples/decoupling/analysis.js";
import { nameOf } from "../../../examples/decoupling/job.js";
import type { Results } from "../../../examples/decoupling/publish.js";
import { reduced, STUDIES } from "../../../examples/decoupling/study.js";
import { root } from "../../support/root.js";
import { temporaryFolder } from "./support.js";

// Some 40 runs of 5,000 steps, twice: half a minute, more where others are at work.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 1_800_000 });

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param during may end the process early */
async function demo(out: string, during?: (child: ChildProcess) => Promise<void>): Promise<Ended> {
  const args = ["--import", "tsx", "examples/decoupling/main.ts", "--quick", "addition", `--out=${out}`];
  const child = spawn(process.execPath, args, { cwd: root });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].on("data", (text) => (output[name] += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, ...output }));
  });
  await during?.(child);
  return ended;
}

const unfinished = (out: string, suffix: string) => {
  const folder = join(out, "unfinished");
  return existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(suffix)) : [];
};
const linesOf = (out: string) =>
  unfinished(out, ".jsonl").flatMap((file) => readFileSync(join(out, "unfinished", file), "utf8").split("\n"));

/** Checkpoints of runs that have not ended. The last line has no end, or is empty. */
function underWay(out: string): string[] {
  const ended = linesOf(out)
    .slice(0, -1)
    .map((line) => `${nameOf(JSON.parse(line).job)}.safetensors`);
  return unfinished(out, ".safetensors").filter((file) => !ended.includes(file));
}

/** Whether some runs have ended, and others are under way. */
const isInTheMiddle = (out: string) => linesOf(out).length >= 6 && underWay(out).length > 0;

async function killInTheMiddle(out: string): Promise<void> {
  do {
    const { signal } = await demo(out, async (child) => {
      while (child.exitCode === null && !isInTheMiddle(out)) await new Promise((resolve) => setTimeout(resolve, 5));
      child.kill("SIGKILL");
    });
    expect(signal, "it must not have ended yet").toBe("SIGKILL");
    // It may have come to the end of a run before it was dead: it goes on then, and is killed once more.
  } while (!isInTheMiddle(out));
}

describe("the demo, its grid made smaller", () => {
  const [whole, broken, damaged] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  let ended: Ended;
  beforeAll(async () => {
    ended = await demo(whole);
    await killInTheMiddle(broken);
    cpSync(broken, damaged, { recursive: true });
  });

  it("runs: maps, tables, how far it is, and nothing unfinished left", () => {
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(/grid +\d+ of 30 runs.*\n.*grid +30 of 30 runs/s);
    expect(ended.stdout).toMatch(/AdamW: held-out accuracy in %\n\n\| rate.*\n\|-.*\n\| 0\.2 /);
    expect(readFileSync(join(whole, "grid.svg"), "utf8")).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(readdirSync(whole).sort()).toEqual(["grid.svg", "network.wasm", "results.json"]);
  });

  it("shows it: ten times the rate, AdamW's best decay within a factor of 3 of itself, L2's 6 to 20 times smaller", () => {
    const { complete, records } = JSON.parse(readFileSync(join(whole, "results.json"), "utf8")) as Results;
    expect(complete).toBe(false);
    const study = reduced(STUDIES.find(({ task }) => task === "addition")!);
    const [ours, theirs] = (["AdamW", "Adam + L2"] as const).map(
      (rule) => slopeOf(study, (job) => records[nameOf(job)]!, rule).slope,
    );
    expect(Math.abs(ours!)).toBeLessThan(Math.log10(3));
    expect(theirs).toBeGreaterThan(-Math.log10(20));
    expect(theirs).toBeLessThan(-Math.log10(6));
  });

  it("killed in the middle and started again, it goes on, and ends with the same figures to the last digit", async () => {
    const { done, underWay } = {
      done: linesOf(broken).length - 1,
      underWay: unfinished(broken, ".safetensors").length,
    };
    const again = await demo(broken);
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(again.stdout).toContain(`broken off: ${done} runs done, ${underWay} under way`);
    for (const file of ["results.json", "grid.svg"]) {
      expect(readFileSync(join(broken, file), "utf8")).toBe(readFileSync(join(whole, file), "utf8"));
    }
    expect(readdirSync(broken).sort()).toEqual(readdirSync(whole).sort());
  });

  it("a checkpoint that was damaged meanwhile is refused, by name, and what was done stays", async () => {
    const [file] = underWay(damaged);
    const path = join(damaged, "unfinished", file!);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1000]! ^= 1;
    writeFileSync(path, bytes);
    const before = linesOf(damaged);
    const { code, stderr } = await demo(damaged);
    expect(code).toBe(1);
    expect(stderr).toContain(`"${path}: checksum": expected`);
    expect(linesOf(damaged)).toEqual(expect.arrayContaining(before));
  });
});
