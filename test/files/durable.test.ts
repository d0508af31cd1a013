/** Hosts that cannot flush, and Windows, which holds files: a save goes on, or waits, and after the rename nothing rejects. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fileOf, stepped, tiny } from "../checkpoint/support.js";
import { caught } from "../support/api.js";

let folder: string;
let path: string;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fused-adam-"));
  path = join(folder, "run.safetensors");
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((...texts) => void warnings.push(texts.join(" ")));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const failure = (code: string) => Object.assign(new Error(`${code}: as arranged`), { code });
const holds = (steps: number) =>
  readFileSync(path).equals(Buffer.from(encodeCheckpoint(stepped(tiny(), steps)))) && readdirSync(folder).length === 1;

/** Every file that is opened from now on, and its path. */
function onOpen(change: (file: FileHandle, path: unknown) => void) {
  const { open } = fs;
  return vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    change(file, args[0]);
    return file;
  });
}

describe("flushing", () => {
  // A warning is said once in a process, so the first of these tests hears it.
  it("that nothing can do is one warning, in the first save of all", async () => {
    const codes = ["ERR_ACCESS_DENIED", "EPERM", "EACCES", "ENOSYS", "EINVAL", "ENOTSUP", "EOPNOTSUPP"];
    for (const [i, code] of codes.entries()) {
      const opening = onOpen((file) => void vi.spyOn(file, "sync").mockRejectedValue(failure(code)));
      await saveCheckpointFile(path, stepped(tiny(), i));
      opening.mockRestore();
      expect(holds(i), code).toBe(true);
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^fused-adam: .*cannot be flushed to disk.*power.* \(ERR_ACCESS_DENIED\)$/),
    ]);
  });

  it.each(["EIO", "ENOSPC", "EDQUOT"])(
    "of the file that fails by %s is an error, and the old file stays",
    async (code) => {
      await saveCheckpointFile(path, stepped(tiny(), 1));
      onOpen((file) => void vi.spyOn(file, "sync").mockRejectedValue(failure(code)));
      const error = await caught(() => saveCheckpointFile(path, stepped(tiny(), 2)));
      expect(error).toMatchObject({ code: "ERR_FILE", cause: { code } });
      expect(holds(1)).toBe(true);
    },
  );

  it.each(["open", "sync", "close"] as const)(
    "of the folder that fails, whatever happens in its %s, is no error",
    async (call) => {
      for (const code of ["EIO", "EMFILE", "EACCES"]) {
        const { open } = fs;
        const opening = vi.spyOn(fs, "open").mockImplementation(async (...args) => {
          if (args[0] !== folder) return open(...args);
          if (call === "open") throw failure(code);
          const file = await open(...args);
          const close = file.close.bind(file);
          vi.spyOn(file, call).mockImplementation(async () => {
            if (call === "close") await close();
            throw failure(code);
          });
          return file;
        });
        const steps = code.length;
        await saveCheckpointFile(path, stepped(tiny(), steps));
        opening.mockRestore();
        expect(holds(steps), code).toBe(true);
      }
    },
  );
});

describe("a rename on Windows", () => {
  /** Milliseconds that were waited for, none of which passed. */
  let waits: number[];
  beforeEach(() => {
    waits = [];
    vi.spyOn(process, "platform", "get").mockReturnValue("win32");
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((go: () => void, milliseconds: number) => {
      waits.push(milliseconds);
      queueMicrotask(go);
    }) as never);
  });

  function failing(code: string, times: number) {
    const { rename } = fs;
    let calls = 0;
    return vi.spyOn(fs, "rename").mockImplementation(async (...args) => {
      if (++calls <= times) throw failure(code);
      return rename(...args);
    });
  }

  it.each(["EPERM", "EACCES", "EBUSY"])(
    "that fails by %s is tried again, a few times in the first second",
    async (code) => {
      await saveCheckpointFile(path, stepped(tiny(), 1));
      failing(code, 6);
      await saveCheckpointFile(path, stepped(tiny(), 2));
      expect(holds(2)).toBe(true);
      expect(waits).toHaveLength(6);
      expect(waits.reduce((sum, wait) => sum + wait, 0)).toBeLessThan(1000);
    },
  );

  it("that fails for longer than ten seconds is an error, the old file stays, and no temporary", async () => {
    await saveCheckpointFile(path, stepped(tiny(), 1));
    failing("EBUSY", Infinity);
    const error = await caught(() => saveCheckpointFile(path, stepped(tiny(), 2)));
    expect(error).toMatchObject({ code: "ERR_FILE", cause: { code: "EBUSY" } });
    const waited = waits.reduce((sum, wait) => sum + wait, 0);
    expect(waited).toBeGreaterThanOrEqual(10_000);
    expect(waited).toBeLessThan(11_000);
    expect(Math.max(...waits)).toBe(500);
    expect(holds(1)).toBe(true);
  });

  it("that fails by anything else is an error at once; elsewhere these are, too", async () => {
    await saveCheckpointFile(path, stepped(tiny(), 1));
    for (const [platform, code] of [
      ["win32", "ENOSPC"],
      ["linux", "EPERM"],
      ["darwin", "EBUSY"],
    ] as const) {
      vi.spyOn(process, "platform", "get").mockReturnValue(platform);
      const renaming = failing(code, 1);
      const error = await caught(() => saveCheckpointFile(path, stepped(tiny(), 2)));
      expect(error).toMatchObject({ code: "ERR_FILE", cause: { code } });
      renaming.mockRestore();
    }
    expect([waits, holds(1)]).toEqual([[], true]);
  });
});

describe("a foreign file of 2.5 GiB", () => {
  it.each([
    ["a file of weights", { __metadata__: { format: "pt" }, w: 0 }, /format": expected "fused-adam", got "pt"/],
    [
      "the next version",
      { __metadata__: { format: "fused-adam", version: "99", steps: "{}", param_groups: "[]" }, w: 0 },
      /version": /,
    ],
    ["text", undefined, /header length": expected at most 1\d+/],
  ])("%s is refused before it is read", async (_, header, message) => {
    const size = 2.5 * 2 ** 30;
    const start = (data: number) => fileOf({ ...header, w: { dtype: "U8", shape: [data], data_offsets: [0, data] } });
    // The length of the number does not change the length of the header.
    const length = start(size).length;
    writeFileSync(path, header === undefined ? "epoch,loss\n1,0.5\n" : start(size - length));
    truncateSync(path, size);
    let read = 0;
    onOpen((file) => {
      const original = file.read.bind(file) as (...args: unknown[]) => Promise<{ bytesRead: number }>;
      file.read = (async (...args: unknown[]) => {
        const result = await original(...args);
        read += result.bytesRead;
        return result;
      }) as never;
    });
    const error = (await caught(() => loadCheckpointFile(path, tiny()))) as Error;
    expect(error).toMatchObject({ name: "RangeError", code: "ERR_CHECKPOINT" });
    expect(error.message).toMatch(message);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(1000);
  });
});
