import { spawnSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { AdamW } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { snapshot, stepped, tiny, unchanged } from "../checkpoint/support.js";
import { revoked } from "../support/api.js";
import { notBuilt, unless } from "../support/host.js";
import { trained } from "./crash.model.mjs";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fused-adam-"));
  path = join(folder, "run.safetensors");
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function rejection(promise: Promise<unknown>): Promise<Error & { code: string }> {
  return promise.then(
    () => {
      throw new Error("no error");
    },
    (error) => error,
  );
}

const encoded = (optimizer: AdamW) => encodeCheckpoint(optimizer, { params: true });

test("a file holds what encodeCheckpoint returns, and loads", async () => {
  const optimizer = stepped(tiny());
  for (const target of [path, pathToFileURL(path)]) {
    for (const options of [undefined, { params: false }, { params: true }]) {
      await saveCheckpointFile(target, optimizer, options);
      expect(Buffer.from(encodeCheckpoint(optimizer, options)).equals(readFileSync(path))).toBe(true);
      expect(readdirSync(folder)).toEqual(["run.safetensors"]);
    }
    const other = tiny();
    await loadCheckpointFile(target, other);
    expect(encoded(other)).toEqual(encoded(optimizer));
    stepped(optimizer, 1);
  }
});

test("a URL that is none of this realm's is one", async () => {
  // As jsdom has them: classes of their own, the same properties.
  const { href } = pathToFileURL(path);
  const foreign = runInNewContext("({ get href() { return href; } })", { href }) as URL;
  expect(foreign instanceof URL).toBe(false);
  await saveCheckpointFile(foreign, stepped(tiny()));
  expect(readdirSync(folder)).toEqual(["run.safetensors"]);
  await loadCheckpointFile(foreign, tiny());
});

test("a tensor larger than what is written at a time", async () => {
  const optimizer = trained(2);
  await saveCheckpointFile(path, optimizer, { params: true });
  expect(Buffer.from(encoded(optimizer)).equals(readFileSync(path))).toBe(true);
});

test("a symbolic link stays one, and what it points to is replaced", async () => {
  const link = join(folder, "latest");
  await saveCheckpointFile(path, tiny());
  symlinkSync("run.safetensors", link);
  await saveCheckpointFile(link, stepped(tiny()));
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(Buffer.from(encodeCheckpoint(stepped(tiny()))).equals(readFileSync(path))).toBe(true);
});

test("saving takes no second copy of the model", async () => {
  const optimizer = AdamW.createSync({ w: { shape: [1 << 24] } });
  const grown: number[] = [];
  const before = process.memoryUsage().arrayBuffers;
  onWrite(async () => void grown.push(process.memoryUsage().arrayBuffers - before));
  await saveCheckpointFile(path, optimizer);
  expect(grown.length).toBeGreaterThan(100);
  expect(Math.max(...grown)).toBeLessThan(8 << 20);
});

/** Comes before every write to a file opened from now on. */
function onWrite(hook: (bytes: Uint8Array) => Promise<void>): void {
  const { open } = fs;
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    const write = file.write.bind(file) as (bytes: Uint8Array, at: number) => Promise<{ bytesWritten: number }>;
    file.write = (async (bytes: Uint8Array, at: number) => {
      await hook(bytes);
      return write(bytes, at);
    }) as unknown as FileHandle["write"];
    return file;
  });
}

test("while it is saved an optimizer refuses to step, and afterwards goes on", async () => {
  const optimizer = stepped(tiny());
  const bytes = encoded(optimizer);
  const saving = saveCheckpointFile(path, optimizer, { params: true });
  const calls = [
    () => optimizer.step(),
    () => optimizer.zeroGrad(),
    () => optimizer.loadStateDict(optimizer.stateDict()),
    () => optimizer.dispose(),
    () => encodeCheckpoint(optimizer),
    () => {
      optimizer.paramGroups[0]!.lr = 1;
    },
  ];
  for (const call of calls) expect(call).toThrow(expect.objectContaining({ code: "ERR_BUSY" }));
  for (const call of [saveCheckpointFile, loadCheckpointFile]) {
    expect(await rejection(call(path, optimizer))).toMatchObject({ code: "ERR_BUSY" });
  }
  await saving;
  expect(Buffer.from(bytes).equals(readFileSync(path))).toBe(true);
  expect(stepped(optimizer, 1).stateDict().state.w!.step).toBe(4);
});

test("values that change while they are saved are noticed, and the old file stays", async () => {
  const optimizer = trained(1);
  await saveCheckpointFile(path, optimizer, { params: true });
  const old = readFileSync(path);
  let writes = 0;
  onWrite(async () => {
    if (++writes === 2) optimizer.param("b")[3] = 7;
  });
  const error = await rejection(saveCheckpointFile(path, optimizer, { params: true }));
  expect(error).toMatchObject({ code: "ERR_BUSY", message: expect.stringContaining(path) });
  expect(readFileSync(path).equals(old)).toBe(true);
  expect(readdirSync(folder)).toEqual(["run.safetensors"]);
});

describe("errors name the path and keep their cause", () => {
  const failure = (code: string) => Object.assign(new Error(`${code}: as arranged`), { code });

  test.each(["open", "rename", "write", "sync", "close"])("when %s fails", async (call) => {
    const optimizer = stepped(tiny());
    await saveCheckpointFile(path, optimizer);
    const old = readFileSync(path);
    const { open } = fs;
    if (call === "open" || call === "rename") vi.spyOn(fs, call).mockRejectedValue(failure("EIO"));
    else {
      vi.spyOn(fs, "open").mockImplementation(async (...args) => {
        const file = await open(...args);
        const { close } = file;
        vi.spyOn(file, call as "write").mockImplementation(async () => {
          if (call === "close") await close.call(file);
          throw failure("ENOSPC");
        });
        return file;
      });
    }
    const error = await rejection(saveCheckpointFile(path, stepped(optimizer)));
    expect(error).toMatchObject({ name: "Error", code: "ERR_FILE", cause: { code: expect.stringMatching(/^E/) } });
    expect(error.message).toMatch(/^".+": expected a file that can be written, got E.+$/);
    expect(error.message).toContain(path);
    vi.restoreAllMocks();
    expect(readFileSync(path).equals(old)).toBe(true);
    expect(readdirSync(folder)).toEqual(["run.safetensors"]);
    await saveCheckpointFile(path, stepped(optimizer));
    expect(readFileSync(path).equals(old)).toBe(false);
  });

  test("a disk that takes a few bytes at a time", async () => {
    const { open } = fs;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      const write = file.write.bind(file) as (bytes: Uint8Array, at: number, length: number) => Promise<unknown>;
      file.write = ((bytes: Uint8Array, at: number) => write(bytes, at, Math.min(7, bytes.length - at))) as never;
      return file;
    });
    await saveCheckpointFile(path, stepped(tiny()), { params: true });
    expect(Buffer.from(encoded(stepped(tiny()))).equals(readFileSync(path))).toBe(true);
  });

  test("a disk that takes no bytes, and says so by no error", async () => {
    await saveCheckpointFile(path, tiny());
    const old = readFileSync(path);
    const { open } = fs;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      file.write = (async () => ({ bytesWritten: 0 })) as never;
      return file;
    });
    const error = await rejection(saveCheckpointFile(path, stepped(tiny())));
    expect(error).toMatchObject({ name: "Error", code: "ERR_FILE" });
    expect(error.message).toBe(`"${path}": expected a file that can be written, got none: it takes no bytes`);
    expect(readFileSync(path).equals(old)).toBe(true);
    expect(readdirSync(folder)).toEqual(["run.safetensors"]);
  });

  test("when a file that was read cannot be closed", async () => {
    await saveCheckpointFile(path, tiny());
    const { open } = fs;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      const { close } = file;
      file.close = async () => {
        await close.call(file);
        throw failure("EIO");
      };
      return file;
    });
    const error = await rejection(loadCheckpointFile(path, tiny()));
    expect(error).toMatchObject({ name: "Error", code: "ERR_FILE", cause: { code: "EIO" } });
  });

  test.each(["saveCheckpointFile", "loadCheckpointFile"] as const)(
    "in %s, of another realm, or none at all",
    async (name) => {
      const call = { saveCheckpointFile, loadCheckpointFile }[name];
      const thrown: [unknown, string][] = [
        [runInNewContext('Object.assign(new Error("gone"), { code: "ENOENT" })'), "gone"],
        [undefined, "undefined"],
        [null, "null"],
        ["gone", "gone"],
      ];
      await saveCheckpointFile(path, tiny());
      for (const [cause, got] of thrown) {
        vi.spyOn(fs, "open").mockRejectedValue(cause);
        const error = await rejection(call(path, tiny()));
        vi.restoreAllMocks();
        expect(error).toMatchObject({ name: "Error", code: "ERR_FILE" });
        expect(error.message).toMatch(/^".+run\.safetensors": expected a file that can be (read|written), got /);
        expect(error.message.endsWith(`, got ${got}`), error.message).toBe(true);
        expect(error.cause).toBe(cause);
      }
    },
  );

  test("a folder that does not exist, a folder in the file's place, a file that is none", async () => {
    const missing = join(folder, "no", "run");
    for (const call of [saveCheckpointFile, loadCheckpointFile]) {
      const error = await rejection(call(missing, tiny()));
      expect(error).toMatchObject({ code: "ERR_FILE", cause: { code: "ENOENT" } });
      expect(error.message).toContain(missing);
    }
    expect(await rejection(saveCheckpointFile(folder, tiny()))).toMatchObject({ code: "ERR_FILE" });
    expect((await rejection(loadCheckpointFile(folder, tiny()))).message).toBe(
      `"${folder}": expected a file, got a folder`,
    );
  });

  test("a damaged file", async () => {
    const optimizer = stepped(tiny());
    const before = snapshot(optimizer);
    const bytes = encoded(stepped(tiny(), 5));
    const cases: [Uint8Array, string, string][] = [
      [new Uint8Array(), "ERR_CHECKPOINT", "file"],
      [bytes.subarray(0, 5), "ERR_CHECKPOINT", "file"],
      [bytes.subarray(0, 50), "ERR_CHECKPOINT", "header length"],
      [bytes.subarray(0, bytes.length - 1), "ERR_CHECKPOINT", "file"],
      [bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)), "ERR_CHECKSUM", "checksum"],
    ];
    for (const [content, code, label] of cases) {
      writeFileSync(path, content);
      const error = await rejection(loadCheckpointFile(path, optimizer));
      expect(error).toMatchObject({ name: "RangeError", code, cause: { code } });
      expect(error.message.startsWith(`"${path}: ${label}": expected `), error.message).toBe(true);
      expect(unchanged(optimizer, before)).toBe(true);
    }
  });

  test("a file that is cut while it is read", async () => {
    await saveCheckpointFile(path, tiny());
    const { open } = fs;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      const stat = await file.stat();
      await fs.truncate(path, 100);
      file.stat = (async () => stat) as never;
      return file;
    });
    const error = await rejection(loadCheckpointFile(path, tiny()));
    expect(error).toMatchObject({ code: "ERR_FILE" });
    expect(error.message).toContain("100: it was cut meanwhile");
  });

  test("what cannot be saved touches no file", async () => {
    const optimizer = tiny();
    optimizer.param("w").fill(Number.NaN);
    await saveCheckpointFile(path, tiny(), { params: true });
    const old = readFileSync(path);
    const error = await rejection(saveCheckpointFile(path, optimizer, { params: true }));
    expect(error).toMatchObject({ code: "ERR_NON_FINITE" });
    expect(readFileSync(path).equals(old)).toBe(true);
    const urls = [new URL("https://example.com/run"), { href: "no URL" }, { href: 3 }];
    for (const wrong of [undefined, null, 3, "", new Uint8Array(3), revoked(), ...urls]) {
      for (const call of [saveCheckpointFile, loadCheckpointFile]) {
        const error = await rejection(call(wrong as string, tiny()));
        expect(error).toMatchObject({ name: "TypeError", code: "ERR_INVALID_TYPE" });
        expect(error.message).toMatch(/^"path": expected a path or a file: URL, got /);
      }
    }
  });
});

test("the file is flushed before it is renamed, and the folder after", async () => {
  const log: string[] = [];
  const { open, rename } = fs;
  vi.spyOn(fs, "rename").mockImplementation(async (...args) => {
    log.push("rename");
    return rename(...args);
  });
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    for (const call of ["write", "sync", "close"] as const) {
      const original = file[call].bind(file) as (...args: unknown[]) => Promise<unknown>;
      file[call] = ((...rest: unknown[]) => {
        log.push(`${call} ${args[0] === folder ? "folder" : "file"}`);
        return original(...rest);
      }) as never;
    }
    return file;
  });
  await saveCheckpointFile(path, tiny());
  const file = ["write file", "write file", "sync file", "close file"];
  expect(log).toEqual([...file, "rename", "sync folder", "close folder"]);
});

describe.each(["before", "torn"])("a saver that is killed at its n-th call (%s)", unless(notBuilt), (mode) => {
  test("leaves the whole old or the whole new checkpoint, and the next save works", async () => {
    const script = fileURLToPath(new URL("crash.child.mjs", import.meta.url));
    await saveCheckpointFile(path, trained(1), { params: true });
    const old = readFileSync(path);
    const next = Buffer.from(encoded(trained(2)));
    const outcomes: string[] = [];
    for (let n = 1; ; n++) {
      const { status, signal, stderr } = spawnSync(process.execPath, [script, path, String(n), mode], {
        encoding: "utf8",
      });
      const found = readFileSync(path);
      outcomes.push(found.equals(old) ? "old" : found.equals(next) ? "new" : "neither");
      await loadCheckpointFile(path, trained(0));
      if (status === 0) break;
      expect(signal, stderr).toBe("SIGKILL");
      writeFileSync(path, old);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp")).length).toBeGreaterThan(4);
    const renamed = outcomes.indexOf("new");
    expect(renamed).toBeGreaterThan(5);
    expect(outcomes).toEqual(outcomes.map((_, i) => (i < renamed ? "old" : "new")));
    expect(outcomes.length - renamed).toBe(4);
  });
});
