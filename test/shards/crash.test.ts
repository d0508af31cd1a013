import { spawn } from "node:child_process";
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AdamW } from "fused-adam";
import { completeShards, loadShardFiles, saveShards } from "fused-adam/node";
import { expect, test } from "vitest";
import { notBuilt, unless } from "../support/host.js";
import { scratch } from "../support/scratch.js";
import { trainedRanks } from "./crash.model.mjs";

const script = fileURLToPath(new URL("crash.child.mjs", import.meta.url));
const root = scratch();
const whole = () => AdamW.createSync({ w: { shape: [50, 9] }, b: { shape: [5] } });

/** What a save holds, as text. */
async function contentOf(directory: string): Promise<string> {
  const optimizer = whole();
  await loadShardFiles(directory, optimizer);
  const { state } = optimizer.stateDict();
  return JSON.stringify(
    optimizer.names.map((name) => [name, [...optimizer.param(name)], [...state[name]!.exp_avg], state[name]!.step]),
  );
}

async function save(directory: string, steps: number, run: string): Promise<void> {
  for (const [rank, optimizer] of trainedRanks(steps).entries())
    await saveShards(directory, optimizer, { rank, ranks: 2, run });
  await completeShards(directory);
}

function runChild(
  directory: string,
  limit: number,
): Promise<{ signal: string | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, directory, String(limit)]);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    child.on("close", (_, signal) => resolve({ signal, stdout, stderr }));
  });
}

test(
  "killed at any call that changes the disk: the whole old save, the whole new one, or one that says it was not completed; the next save works",
  unless(notBuilt),
  async () => {
    const first = join(root, "first");
    const last = join(root, "last");
    await save(first, 1, "old");
    cpSync(first, last, { recursive: true });
    const { stdout, stderr } = await runChild(last, Infinity);
    const calls = Number(stdout);
    expect(calls, stderr).toBeGreaterThan(30);
    const [old, fresh] = [await contentOf(first), await contentOf(last)];
    expect(old).not.toBe(fresh);

    const outcomes: string[] = [];
    /** Whether `completeShards` alone could finish what was left. */
    const completed: boolean[] = [];
    const next = Array.from({ length: calls + 1 }, (_, i) => i).values();
    const work = async () => {
      for (const n of next) {
        const directory = join(root, `at-${n}`);
        cpSync(first, directory, { recursive: true });
        const { signal, stderr } = await runChild(directory, n + 1);
        expect(signal, stderr).toBe(n < calls ? "SIGKILL" : null);
        const found = await contentOf(directory).catch((error: Error & { code: string }) => error);
        if (found instanceof Error) {
          expect(found).toMatchObject({
            code: "ERR_FILE",
            message: expect.stringContaining("the save was not completed"),
          });
          outcomes[n] = "incomplete";
          completed[n] = await completeShards(directory).then(
            async () => (await contentOf(directory)) === fresh,
            () => false,
          );
        } else outcomes[n] = found === old ? "old" : found === fresh ? "new" : "neither";
        await save(directory, 2, "again");
        expect(await contentOf(directory)).toBe(fresh);
        expect(readdirSync(join(directory, "model")).filter((name) => /whole$/.test(name))).toEqual([]);
      }
    };
    await Promise.all([work(), work()]);
    // First nothing has changed, then the save is incomplete, then it is whole.
    expect(outcomes.join(" ")).toMatch(/^(old )+(incomplete )+new$/);
    // From when both ranks have saved, a second call completes it, also when the first died between the files it put together.
    const from = completed.indexOf(true);
    expect(completed.slice(from).every(Boolean), completed.join()).toBe(true);
    expect(completed.length - from).toBeGreaterThan(8);
  },
);
