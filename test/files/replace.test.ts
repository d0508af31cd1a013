/** What lies at the path already, and who may do what: on real file systems, with real links, pipes and users. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import fs from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { stepped, tiny } from "../checkpoint/support.js";
import { caught } from "../support/api.js";
import { fileUnless, notBuilt, on, unless } from "../support/host.js";
import { trained } from "./crash.model.mjs";

fileUnless(process.platform === "win32" && "Windows has other modes, links and pipes");

const isRoot = process.getuid?.() === 0;
const needsRoot = !isRoot && "needs root";
const asChild = unless(notBuilt, !on("vitest", "node") && "starts a process with Node's options");

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fused-adam-"));
  path = join(folder, "run.safetensors");
});
afterEach(() => {
  vi.restoreAllMocks();
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

const modeOf = (file: string) => (statSync(file).mode & 0o7777).toString(8);
const expected = () => Buffer.from(encodeCheckpoint(stepped(tiny())));
const save = (file = path) => saveCheckpointFile(file, stepped(tiny()));
const fails = async (call: () => Promise<unknown>) => (await caught(call)) as Error & { code: string; cause?: unknown };

/** Runs `body` with a umask. A worker has none of its own. */
async function withUmask(umask: number, body: () => Promise<void>): Promise<void> {
  const before = process.umask(umask);
  try {
    await body();
  } finally {
    process.umask(before);
  }
}

/** The modes of all temporary files there are at any call that could show one to others. */
function watchTemporaries(): Set<string> {
  const modes = new Set<string>();
  const look = () => {
    for (const name of readdirSync(folder)) if (name.endsWith(".tmp")) modes.add(modeOf(join(folder, name)));
  };
  const { open, rename } = fs;
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    look();
    for (const call of ["stat", "chmod", "chown", "write", "sync", "close"] as const) {
      const original = file[call].bind(file) as (...args: unknown[]) => Promise<unknown>;
      file[call] = (async (...rest: unknown[]) => {
        look();
        const result = await original(...rest);
        look();
        return result;
      }) as never;
    }
    return file;
  });
  vi.spyOn(fs, "rename").mockImplementation(async (...args) => {
    look();
    return rename(...args);
  });
  return modes;
}

describe("the mode of a file", () => {
  it.each([
    ["600", 0o022],
    ["640", 0o022],
    ["664", 0o022],
    ["666", 0o077],
    ["660", 0o077],
  ])("%s stays with umask %o, and its temporary never has more", async (mode, umask) => {
    await withUmask(umask, async () => {
      await save();
      chmodSync(path, Number.parseInt(mode, 8));
      const modes = watchTemporaries();
      await saveCheckpointFile(path, stepped(tiny(), 5));
      expect(modeOf(path)).toBe(mode);
      expect(readFileSync(path).equals(expected())).toBe(false);
      for (const each of modes) expect(Number.parseInt(each, 8) & ~Number.parseInt(mode, 8), each).toBe(0);
      expect(modes).toContain(mode);
    });
  });

  it.each([
    [0o022, "644"],
    [0o077, "600"],
    [0o027, "640"],
  ])("is what umask %o makes it if the file is new", async (umask, mode) => {
    await withUmask(umask, async () => {
      const modes = watchTemporaries();
      await save();
      expect([modeOf(path), ...modes]).toEqual([mode, mode]);
    });
  });

  it("stays where the host does not say who we are, as Deno with few permissions", async () => {
    await save();
    chmodSync(path, 0o664);
    vi.spyOn(process, "geteuid").mockImplementation(() => {
      throw new Error("NotCapable");
    });
    await saveCheckpointFile(path, stepped(tiny(), 5));
    expect(modeOf(path)).toBe("664");
  });

  it("without write permission refuses, root too", async () => {
    await save();
    for (const mode of [0o444, 0o400, 0o555]) {
      chmodSync(path, mode);
      const error = await fails(() => saveCheckpointFile(path, stepped(tiny(), 5)));
      expect(error).toMatchObject({ name: "Error", code: "ERR_FILE" });
      expect(error.message).toBe(
        `"${path}": expected a file that can be written, got one that is read-only (mode ${mode.toString(8)})`,
      );
      expect(readFileSync(path).equals(expected())).toBe(true);
      expect([modeOf(path), readdirSync(folder)]).toEqual([mode.toString(8), ["run.safetensors"]]);
    }
  });
});

describe("the owner of a file", unless(needsRoot), () => {
  it("stays, and nobody else may read it meanwhile", async () => {
    await save();
    chownSync(path, 12345, 54321);
    chmodSync(path, 0o640);
    const modes = watchTemporaries();
    await saveCheckpointFile(path, stepped(tiny(), 5));
    const { uid, gid } = statSync(path);
    expect([uid, gid, modeOf(path)]).toEqual([12345, 54321, "640"]);
    expect([...modes]).toEqual(["600", "640"]);
  });

  it("that the file system does not take is no reason not to save", async () => {
    await save();
    chownSync(path, 12345, 54321);
    const { open } = fs;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      file.chown = () => Promise.reject(Object.assign(new Error("EPERM: as arranged"), { code: "EPERM" }));
      return file;
    });
    await saveCheckpointFile(path, stepped(tiny(), 5));
    expect(statSync(path).uid).toBe(0);
  });
});

describe("a link whose target is not there", () => {
  const made = async (link: string, target: string) => {
    await save(link);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(lstatSync(target).isFile()).toBe(true);
    expect(readFileSync(target).equals(expected())).toBe(true);
    await loadCheckpointFile(link, tiny());
  };

  it("is followed, and the target made: by a relative path, an absolute one, and another link", async () => {
    for (const name of ["a", "b", "c"]) mkdirSync(join(folder, name));
    symlinkSync("../b/run", join(folder, "a/relative"));
    symlinkSync(join(folder, "b/run2"), join(folder, "a/absolute"));
    symlinkSync("../c/second", join(folder, "a/first"));
    symlinkSync("../b/run3", join(folder, "c/second"));
    await made(join(folder, "a/relative"), join(folder, "b/run"));
    await made(join(folder, "a/absolute"), join(folder, "b/run2"));
    await made(join(folder, "a/first"), join(folder, "b/run3"));
    expect(lstatSync(join(folder, "c/second")).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(folder, "b")).sort()).toEqual(["run", "run2", "run3"]);
    expect(readdirSync(join(folder, "a")).sort()).toEqual(["absolute", "first", "relative"]);
  });

  it("counts from the folder that it is really in", async () => {
    mkdirSync(join(folder, "deep/inner"), { recursive: true });
    symlinkSync("deep/inner", join(folder, "shortcut"));
    symlinkSync("../run", join(folder, "deep/inner/link"));
    await made(join(folder, "shortcut/link"), join(folder, "deep/run"));
    expect(existsSync(join(folder, "run"))).toBe(false);
    // A path of the caller's may go back through one, too.
    await save(`${folder}/shortcut/../direct`);
    expect(readFileSync(join(folder, "deep/direct")).equals(expected())).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["deep", "shortcut"]);
  });

  it("by a relative path from the working directory", async () => {
    symlinkSync("target", join(folder, "link"));
    await made(relative(process.cwd(), join(folder, "link")), join(folder, "target"));
  });

  it("because links go round in a circle, or because its folder is not there, is an error", async () => {
    symlinkSync("two", join(folder, "one"));
    symlinkSync("one", join(folder, "two"));
    symlinkSync("no/where", join(folder, "lost"));
    for (const [name, code] of Object.entries({ one: "ELOOP", lost: "ENOENT" })) {
      const error = await fails(() => save(join(folder, name)));
      expect(error).toMatchObject({ code: "ERR_FILE", cause: { code } });
    }
    expect(readdirSync(folder).sort()).toEqual(["lost", "one", "two"]);
    expect(readlinkSync(join(folder, "lost"))).toBe("no/where");
  });
});

describe("what is no file is refused by its kind, saving and loading, and stays", () => {
  async function refused(kind: string, is: (stat: ReturnType<typeof lstatSync>) => boolean): Promise<void> {
    const link = join(folder, "link");
    symlinkSync(path, link);
    for (const each of [path, link]) {
      for (const call of [() => save(each), () => loadCheckpointFile(each, tiny())]) {
        const error = await fails(call);
        expect(error).toMatchObject({ name: "Error", code: "ERR_FILE" });
        expect(error.message).toBe(`"${each}": expected a file, got ${kind}`);
      }
    }
    expect(is(lstatSync(path))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["link", "run.safetensors"]);
  }

  it("a named pipe, to which nobody writes", async () => {
    execFileSync("mkfifo", [path]);
    await refused("a named pipe", (stat) => stat!.isFIFO());
  });

  it("a named pipe that takes the file's place when it has been looked at", async () => {
    await save();
    const file = await fs.stat(path);
    rmSync(path);
    execFileSync("mkfifo", [path]);
    vi.spyOn(fs, "stat").mockResolvedValue(file);
    expect((await fails(() => loadCheckpointFile(path, tiny()))).message).toContain(
      "expected a file, got a named pipe",
    );
  });

  it("a device", unless(needsRoot), async () => {
    execFileSync("mknod", [path, "c", "1", "3"]);
    await refused("a device", (stat) => stat!.isCharacterDevice());
  });

  it("a socket", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await refused("a socket", (stat) => stat!.isSocket());
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("a folder", async () => {
    mkdirSync(path);
    await refused("a folder", (stat) => stat!.isDirectory());
  });
});

describe("a name as long as the file system takes", () => {
  it.each([
    ["214 bytes", "x".repeat(214)],
    ["255 bytes", "x".repeat(255)],
    ["255 bytes of UTF-8", `${"é".repeat(127)}x`],
  ])("%s", async (_, name) => {
    const long = join(folder, name);
    for (const steps of [3, 5]) {
      const optimizer = stepped(tiny(), steps);
      await saveCheckpointFile(long, optimizer);
      expect(readFileSync(long).equals(Buffer.from(encodeCheckpoint(optimizer)))).toBe(true);
      await loadCheckpointFile(long, tiny());
    }
    expect(readdirSync(folder)).toEqual([name]);
  });

  it("one byte more is the file system's error", async () => {
    const error = await fails(() => save(join(folder, "x".repeat(256))));
    expect(error).toMatchObject({ code: "ERR_FILE", cause: { code: "ENAMETOOLONG" } });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("a path of a million characters makes a short message", async () => {
    for (const call of [save, (long: string) => loadCheckpointFile(long, tiny())]) {
      const error = await fails(() => call("x".repeat(1_000_000)));
      expect(error.code).toBe("ERR_FILE");
      expect(error.message.length).toBeLessThan(2000);
    }
  });

  it("control characters of a path are escaped in messages", async () => {
    const name = "a\u001b[2J\u009b\u007f\u202e\nb";
    for (const call of [() => save(join(folder, name, "run")), () => loadCheckpointFile(join(folder, name), tiny())]) {
      const error = await fails(call);
      expect(error.message).toMatch(/^[ -~]+$/);
      expect(error.message).toContain(String.raw`a\u001b[2J\u009b\u007f\u202e`);
    }
    writeFileSync(join(folder, name), "no checkpoint");
    const error = await fails(() => loadCheckpointFile(join(folder, name), tiny()));
    expect(error).toMatchObject({ name: "RangeError", code: "ERR_CHECKPOINT" });
    expect(error.message).toMatch(/^[ -~]+$/);
  });
});

describe("a file system that is full", unless(needsRoot, noTmpfs()), () => {
  it("keeps the old checkpoint, and has room for the next one", async () => {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=7m", "tmpfs", folder]);
    try {
      await saveCheckpointFile(path, trained(1));
      const old = readFileSync(path);
      // Old and new together need more than there is: 3 MB each, and 2 MB of something else.
      writeFileSync(join(folder, "else"), new Uint8Array(2 << 20));
      const error = await fails(() => saveCheckpointFile(path, trained(2)));
      expect(error).toMatchObject({ code: "ERR_FILE", cause: { code: "ENOSPC" } });
      expect(readFileSync(path).equals(old)).toBe(true);
      expect(readdirSync(folder).sort()).toEqual(["else", "run.safetensors"]);
      rmSync(join(folder, "else"));
      await saveCheckpointFile(path, trained(2));
      expect(readFileSync(path).equals(Buffer.from(encodeCheckpoint(trained(2))))).toBe(true);
    } finally {
      execFileSync("umount", [folder]);
    }
  });
});

/** Why a file system cannot be mounted here, or false. */
function noTmpfs(): string | false {
  const place = mkdtempSync(join(tmpdir(), "fused-adam-"));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", place]);
  if (status === 0) execFileSync("umount", [place]);
  rmSync(place, { recursive: true });
  return status !== 0 && "mounts a small file system, which is not allowed here";
}

describe("a user who may not do everything", asChild, () => {
  const script = fileURLToPath(new URL("unprivileged.child.mjs", import.meta.url));
  const NOBODY = 65534;
  const give = (file: string) => isRoot && chownSync(file, NOBODY, NOBODY);

  function saved(...paths: string[]): { results: { saved: string; readable: boolean }[]; warnings: string[] } {
    return savedWith([], ...paths);
  }

  function savedWith(flags: readonly string[], ...paths: string[]): ReturnType<typeof saved> {
    const args = ["--no-warnings", ...flags, script, "0o022", ...paths];
    const result = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
    expect(result.user).not.toBe(0);
    return result;
  }

  it("is told of a file that he may not write to, and it stays; his own keeps its mode", () => {
    give(folder);
    const own = join(folder, "own");
    for (const file of [own, path]) writeFileSync(file, "old");
    chmodSync(own, 0o600);
    give(own);
    chmodSync(path, isRoot ? 0o644 : 0o444);
    const { results, warnings } = saved(own, path, join(folder, "new"));
    expect(results[0]).toEqual({ saved: "yes", readable: true });
    expect(results[1]!.saved).toMatch(/^ERR_FILE \w+: "FILE": expected a file that can be written, got /);
    expect(results[2]).toEqual({ saved: "yes", readable: true });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect([modeOf(own), modeOf(join(folder, "new")), warnings]).toEqual(["600", "644", []]);
    expect(readdirSync(folder).sort()).toEqual(["new", "own", "run.safetensors"]);
  });

  it("saves into a folder that he can write to and not read, after one warning", () => {
    give(folder);
    chmodSync(folder, 0o300);
    const { results, warnings } = saved(path, path);
    const fine = { saved: "yes", readable: true };
    expect(results).toEqual([fine, fine]);
    expect(warnings).toEqual([expect.stringMatching(/^fused-adam: .*cannot be flushed to disk.* \(EACCES\)$/)]);
    chmodSync(folder, 0o700);
    expect(readdirSync(folder)).toEqual(["run.safetensors"]);
  });

  it("saves under Node's permission model, which forbids some calls, after a warning for each", () => {
    give(folder);
    writeFileSync(path, "old");
    chmodSync(path, 0o664);
    give(path);
    const flag = process.allowedNodeEnvironmentFlags.has("--permission") ? "--permission" : "--experimental-permission";
    const { results, warnings } = savedWith([flag, "--allow-fs-read=*", `--allow-fs-write=${folder}/*`], path, path);
    const fine = { saved: "yes", readable: true };
    expect(results).toEqual([fine, fine]);
    const [about, ...others] = warnings;
    // Node 20 forbids fchmod, Node 26 fsync as well.
    if (about !== undefined) expect(about).toMatch(/its mode cannot be set \(ERR_ACCESS_DENIED\)$/);
    expect(others.length).toBeLessThan(2);
    for (const other of others) expect(other).toMatch(/cannot be flushed to disk.* \(ERR_ACCESS_DENIED\)$/);
    expect(modeOf(path)).toBe(about === undefined ? "664" : "644");
    expect(readdirSync(folder)).toEqual(["run.safetensors"]);
  });

  it("cannot save into a folder that he may not write to", () => {
    chmodSync(folder, 0o555);
    const [result] = saved(path).results;
    expect(result!.saved).toMatch(/^ERR_FILE EACCES: "FILE": expected a file that can be written, got EACCES/);
    expect(readdirSync(folder)).toEqual([]);
  });
});
