/** The folder of a save: what lies in it, who reads it, what is refused, and that no more is read than needed. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import fs from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseSafetensorsMetadata } from "@huggingface/hub";
import { AdamW } from "fused-adam";
import { completeShards, loadShardFiles, saveShards } from "fused-adam/node";
import { encodeShard } from "fused-adam/shards";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { snapshot, split, unchanged } from "../checkpoint/support.js";
import { unless } from "../support/host.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { noPython, python } from "../support/python.js";
import { scratch } from "../support/scratch.js";
import { reshards } from "./reshard.js";
import { CASES, LARGE, ranksOf, sizeOf, train, wholeOf } from "./support.js";

const run = "run of the test";
const { make } = CASES.AdamW!;
const root = scratch();
let folder: string;
let count = 0;
beforeEach(() => {
  vi.restoreAllMocks();
  folder = join(root, `save-${count++}`);
});

function rejection(promise: Promise<unknown>): Promise<Error & { code: string }> {
  return promise.then(
    () => {
      throw new Error("no error");
    },
    (error) => error,
  );
}

async function save(parts: readonly Optimizer[], options: object = {}, complete = true): Promise<void> {
  const ranks = parts.length;
  await Promise.all(parts.map((part, rank) => saveShards(folder, part, { rank, ranks, run, ...options })));
  if (complete) await completeShards(folder);
}

const name = (kind: string, i: number, n: number) => `${kind}-0000${i}-of-0000${n}.safetensors`;
const pathOf = (kind: string, i: number, n: number) => join(folder, kind, name(kind, i, n));
const indexOf = (kind: string) => join(folder, kind, `${kind}.safetensors.index.json`);
const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

describe("as files", () => {
  reshards(async (from, to) => {
    await save(from);
    const reports = [];
    for (const optimizer of to) reports.push(await loadShardFiles(folder, optimizer));
    return reports;
  });

  it("without parameters, over a save that has some, they stay as they are", async () => {
    const [from, to] = [ranksOf(make, 1)[0]!, ranksOf(make, 1)[0]!];
    train([from], {}, 0, 3);
    await save([from]);
    await save([from], { params: false });
    expect((await loadShardFiles(folder, to)).params).toBe(false);
    expect(to.stateDict()).toEqual(from.stateDict());
    expect(to.param("w")).toEqual(wholeOf(make).param("w"));
  });
});

describe("what lies in it", () => {
  it("shards, and the indices when it is complete", async () => {
    const parts = ranksOf(make, 2);
    await save(parts, {}, false);
    const shards = (kind: string) => [name(kind, 1, 2), name(kind, 2, 2)];
    expect(readdirSync(folder).sort()).toEqual(["model", "optimizer"]);
    for (const kind of ["model", "optimizer"]) expect(readdirSync(join(folder, kind)).sort()).toEqual(shards(kind));
    for (const [rank, part] of parts.entries()) {
      const { optimizer, model } = encodeShard(part, { rank, ranks: 2, run });
      expect(Buffer.compare(readFileSync(pathOf("optimizer", rank + 1, 2)), optimizer)).toBe(0);
      expect(Buffer.compare(readFileSync(pathOf("model", rank + 1, 2)), model!)).toBe(0);
    }
    await completeShards(pathToFileURL(folder));
    for (const kind of ["model", "optimizer"]) {
      expect(readdirSync(join(folder, kind)).sort()).toEqual([...shards(kind), `${kind}.safetensors.index.json`]);
    }
  });

  it("the model's files have whole tensors, each once, with the metadata that Hugging Face's readers want", async () => {
    const parts = ranksOf(make, 3, LARGE);
    await save(parts);
    const index = read(indexOf("model"));
    expect(Object.keys(index.weight_map).sort()).toEqual(Object.keys(LARGE).sort());
    const whole = wholeOf(make, LARGE);
    let total = 0;
    const found = new Map<string, Buffer>();
    for (let i = 1; i <= 3; i++) {
      const bytes = readFileSync(pathOf("model", i, 3));
      const { header, data } = split(bytes);
      expect(header.__metadata__.format).toBe("pt");
      for (const [tensor, { dtype, shape, data_offsets }] of Object.entries(header).filter(
        ([key]) => key !== "__metadata__",
      )) {
        expect(index.weight_map[tensor]).toBe(name("model", i, 3));
        expect([dtype, shape]).toEqual(["F32", LARGE[tensor as keyof typeof LARGE]]);
        found.set(tensor, Buffer.from(data.subarray(...(data_offsets as [number, number]))));
        total += data_offsets[1] - data_offsets[0];
      }
    }
    expect(index.metadata).toEqual({ format: "pt", total_size: total });
    for (const tensor of Object.keys(LARGE)) {
      const values = whole.param(tensor);
      expect(found.get(tensor)!.equals(Buffer.from(values.buffer, values.byteOffset, values.byteLength)), tensor).toBe(
        true,
      );
    }
    // Completing it once more changes nothing.
    const before = readdirSync(join(folder, "model")).map((file) => readFileSync(join(folder, "model", file)));
    await completeShards(folder);
    expect(readdirSync(join(folder, "model")).map((file) => readFileSync(join(folder, "model", file)))).toEqual(before);
  });

  it("whole tensors of one rank stay in that rank's file, as it wrote it", async () => {
    const own = (rank: number) => {
      const rows = (name: string, all: number, owner: number) => [
        name,
        { shape: [all], rows: owner === rank ? [0, all] : [0, 0] },
      ];
      return AdamW.createSync(Object.fromEntries([rows("a", 5, 0), rows("b", 3, 1), rows("c", 4, 1)]));
    };
    await save([own(0), own(1)], {}, false);
    const before = [1, 2].map((i) => readFileSync(pathOf("model", i, 2)));
    await completeShards(folder);
    expect([1, 2].map((i) => readFileSync(pathOf("model", i, 2)))).toEqual(before);
    expect(read(indexOf("model")).weight_map).toEqual({
      a: name("model", 1, 2),
      b: name("model", 2, 2),
      c: name("model", 2, 2),
    });
  });

  it("the state's index says which file has which rows", async () => {
    await save(ranksOf(make, 2));
    const { weight_map, metadata } = read(indexOf("optimizer"));
    expect(weight_map["w.exp_avg[0:1]"]).toBe(name("optimizer", 1, 2));
    expect(weight_map["w.exp_avg[1:7]"]).toBe(name("optimizer", 2, 2));
    expect(weight_map["scalar.exp_avg_sq"]).toBe(name("optimizer", 2, 2));
    expect(metadata.total_size).toBe(
      8 * Object.values(ranksOf(make, 1)[0]!.names).reduce((sum, n) => sum + wholeOf(make).param(n).length, 0),
    );
  });

  it("a later save takes the place of one of more ranks, and leaves other files alone", async () => {
    await save(ranksOf(make, 3));
    writeFileSync(join(folder, "model", "config.json"), "{}");
    await save(ranksOf(make, 2));
    expect(readdirSync(join(folder, "model")).sort()).toEqual([
      "config.json",
      name("model", 1, 2),
      name("model", 2, 2),
      "model.safetensors.index.json",
    ]);
    await save(ranksOf(make, 2), { params: false });
    expect(readdirSync(join(folder, "model"))).toEqual(["config.json"]);
    expect(readdirSync(join(folder, "optimizer")).length).toBe(3);
  });
});

describe("other readers of the model", () => {
  it("@huggingface/hub", async () => {
    await save(ranksOf(make, 2, LARGE));
    const fetched: string[] = [];
    const local: typeof fetch = async (input, init) => {
      const path = decodeURIComponent(
        /\/(?:resolve|raw)\/main\/(.*)$/.exec(new URL(String(input)).pathname)?.[1] ?? "",
      );
      const range = /bytes=(\d+)-(\d+)?/.exec(new Headers(init?.headers).get("range") ?? "");
      if (!existsSync(join(folder, "model", path)) || path === "") {
        return new Response("", { status: 404, headers: { "X-Error-Code": "EntryNotFound" } });
      }
      fetched.push(path);
      const bytes = readFileSync(join(folder, "model", path));
      const [from, to] = [Number(range?.[1] ?? 0), Math.min(Number(range?.[2] ?? bytes.length - 1), bytes.length - 1)];
      return new Response(bytes.subarray(from, to + 1), {
        status: range === null ? 200 : 206,
        headers: {
          ETag: '"etag"',
          "Content-Range": `bytes ${from}-${to}/${bytes.length}`,
          "Content-Length": String(to + 1 - from),
        },
      });
    };
    const parsed = await parseSafetensorsMetadata({ repo: "some/model", fetch: local, computeParametersCount: true });
    if (!parsed.sharded) expect.unreachable();
    expect(parsed.index.weight_map).toEqual(read(indexOf("model")).weight_map);
    // It counts a scalar as none.
    const counts = Object.values(LARGE).map((shape) => (shape.length === 0 ? 0 : sizeOf(shape)));
    expect(parsed.parameterCount).toEqual({ F32: counts.reduce((sum, count) => sum + count, 0) });
    expect(Object.keys(parsed.headers).sort()).toEqual([name("model", 1, 2), name("model", 2, 2)]);
    expect(fetched).toContain("model.safetensors.index.json");
  });

  it(
    "huggingface_hub, with PyTorch",
    unless(noPython("torch", "huggingface_hub", "safetensors", "torch")),
    async () => {
      // torch has no names with dots in front of nothing, and no parameters of nothing known.
      const shapes = { weight: [7, 5], bias: [7] };
      const parts = [0, 1, 2].map((rank) =>
        AdamW.createSync(
          Object.fromEntries(
            Object.entries(shapes).map(([name, shape], seed) => {
              const rows: [number, number] = [
                [0, 3],
                [3, 3],
                [3, 7],
              ][rank] as [number, number];
              const row = sizeOf(shape.slice(1));
              return [name, { shape, rows, data: dyadic(sizeOf(shape), seed).slice(rows[0] * row, rows[1] * row) }];
            }),
          ),
        ),
      );
      await save(parts);
      const script = `
import json, sys, torch
from huggingface_hub import load_torch_model
model = torch.nn.Linear(5, 7)
result = load_torch_model(model, sys.argv[1], strict=True)
print(json.dumps({name: values.flatten().tolist() for name, values in model.state_dict().items()}))`;
      const loaded = JSON.parse(python(script, { args: [join(folder, "model")] }));
      expect(loaded).toEqual({ weight: [...dyadic(35, 0)], bias: [...dyadic(7, 1)] });
    },
  );
});

describe("a save that was not completed", () => {
  const message = /the save was not completed/;

  it("says so", async () => {
    await save(ranksOf(make, 2), {}, false);
    const [optimizer] = ranksOf(make, 1);
    const before = snapshot(optimizer!);
    expect(await rejection(loadShardFiles(folder, optimizer!))).toMatchObject({
      name: "Error",
      code: "ERR_FILE",
      message: expect.stringMatching(message),
    });
    expect(unchanged(optimizer!, before)).toBe(true);
    await completeShards(folder);
    await loadShardFiles(folder, optimizer!);
    // The first rank of the next save.
    await saveShards(folder, ranksOf(make, 2)[0]!, { rank: 0, ranks: 2, run: "next" });
    expect((await rejection(loadShardFiles(folder, optimizer!))).message).toMatch(message);
  });

  it.each(["optimizer", "model"])("without the %s's index, too", async (kind) => {
    await save(ranksOf(make, 2));
    rmSync(indexOf(kind));
    expect((await rejection(loadShardFiles(folder, ranksOf(make, 1)[0]!))).message).toMatch(message);
  });

  it("a folder that is not there is another thing", async () => {
    const error = await rejection(loadShardFiles(join(folder, "no"), ranksOf(make, 1)[0]!));
    expect(error).toMatchObject({ code: "ERR_FILE", message: expect.stringContaining("ENOENT") });
    expect(error.message).not.toMatch(message);
  });
});

describe("completeShards refuses, and writes no index", () => {
  const cases: Record<string, () => unknown> = {
    "a shard that is missing": () => rmSync(pathOf("optimizer", 2, 3)),
    "a shard of the model that is missing": () => rmSync(pathOf("model", 3, 3)),
    "no shards of the model": () => rmSync(join(folder, "model"), { recursive: true }),
    "no shards": () => rmSync(join(folder, "optimizer"), { recursive: true }),
    "a shard that was cut": () => truncateSync(pathOf("optimizer", 2, 3), statSync(pathOf("optimizer", 2, 3)).size - 1),
    "a bit of the state": () => flip(pathOf("optimizer", 2, 3), -1),
    "a bit of the model": () => flip(pathOf("model", 3, 3), -1),
    "a bit of a header": () => flip(pathOf("model", 3, 3), 100),
    "a shard under the name of another": () => {
      writeFileSync(pathOf("optimizer", 2, 3), readFileSync(pathOf("optimizer", 1, 3)));
    },
    "a shard of another run": () => saveShards(folder, ranksOf(make, 3)[1]!, { rank: 1, ranks: 3, run: "another" }),
    "a shard of another step": () => {
      const parts = ranksOf(make, 3);
      train(parts, {}, 0, 1);
      return saveShards(folder, parts[1]!, { rank: 1, ranks: 3, run });
    },
    "a shard of another number of ranks": () => {
      const { optimizer } = encodeShard(ranksOf(make, 2)[1]!, { rank: 1, ranks: 2, run });
      writeFileSync(pathOf("optimizer", 2, 2), optimizer);
    },
  };

  it.each(Object.entries(cases))("%s", async (_, spoil) => {
    await save(ranksOf(make, 3), {}, false);
    await spoil();
    expect(await rejection(completeShards(folder))).toMatchObject({
      code: expect.stringMatching(/^ERR_(CHECKPOINT|CHECKSUM|FILE)$/),
    });
    for (const kind of ["model", "optimizer"]) expect(existsSync(indexOf(kind))).toBe(false);
    // Saved again, it can be completed.
    await save(ranksOf(make, 3));
    await loadShardFiles(folder, ranksOf(make, 1)[0]!);
  });
});

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  writeFileSync(path, bytes);
}

describe("loadShardFiles refuses, and changes nothing", () => {
  const edit = (kind: string, change: (index: ReturnType<typeof read>) => void) => {
    const index = read(indexOf(kind));
    change(index);
    writeFileSync(indexOf(kind), JSON.stringify(index));
  };
  const rename = (to: string) => (index: ReturnType<typeof read>) => {
    for (const [key, file] of Object.entries(index.weight_map))
      if (file === name("model", 1, 2)) index.weight_map[key] = to;
    index.checksums[to] = index.checksums[name("model", 1, 2)];
    delete index.checksums[name("model", 1, 2)];
  };
  const cases: Record<string, [() => unknown, code?: string]> = {
    ...Object.fromEntries(
      [
        "/etc/passwd",
        "../model/x.safetensors",
        "..\\x.safetensors",
        "",
        ".",
        "..",
        "C:x",
        "model-00003-of-00002.safetensors",
        "model-1-of-2.safetensors",
        "optimizer-00001-of-00002.safetensors",
        "model-00001-of-00002.safetensors\0",
        "x/model-00001-of-00002.safetensors",
        "model-00001-of-00002.safetensors/.",
      ].map((file) => [`the file name ${JSON.stringify(file)}`, [() => edit("model", rename(file))]]),
    ),
    "a file name that is none": [() => edit("model", ({ weight_map }) => Object.assign(weight_map, { w: 3 }))],
    "a shard less in the index": [
      () => edit("optimizer", ({ checksums }) => delete checksums[name("optimizer", 2, 2)]),
    ],
    "another checksum in the index": [
      () =>
        edit("optimizer", ({ checksums }) => Object.assign(checksums, { [name("optimizer", 2, 2)]: "xxh32:00000000" })),
    ],
    "another size in the index": [() => edit("model", ({ metadata }) => Object.assign(metadata, { total_size: 1 }))],
    "a tensor in another file": [
      () =>
        edit("model", ({ weight_map }) =>
          Object.assign(weight_map, { w: name("model", 1, 2), b: name("model", 1, 2) }),
        ),
    ],
    "a tensor too many": [
      () => edit("model", ({ weight_map }) => Object.assign(weight_map, { v: name("model", 1, 2) })),
    ],
    "a tensor less": [() => edit("model", ({ weight_map }) => delete weight_map.w)],
    "an index without checksums": [() => edit("model", (index) => delete index.checksums)],
    "an index that is a list": [() => writeFileSync(indexOf("model"), "[]")],
    "an index that is no JSON": [() => writeFileSync(indexOf("model"), "{")],
    "an index that is not UTF-8": [() => writeFileSync(indexOf("model"), Buffer.from([0x22, 0xff, 0x22]))],
    "an empty index": [() => writeFileSync(indexOf("optimizer"), "")],
    "a shard that is missing": [() => rmSync(pathOf("optimizer", 2, 2)), "ERR_FILE"],
    "a shard that was cut": [() => truncateSync(pathOf("optimizer", 2, 2), 300)],
    "a shard in place of another": [
      () => writeFileSync(pathOf("optimizer", 2, 2), readFileSync(pathOf("optimizer", 1, 2))),
    ],
    "a shard of another save": [
      () =>
        writeFileSync(
          pathOf("optimizer", 2, 2),
          encodeShard(ranksOf(make, 2)[1]!, { rank: 1, ranks: 2, run: "another" }).optimizer,
        ),
    ],
    "a bit of the state": [() => flip(pathOf("optimizer", 2, 2), -1), "ERR_CHECKSUM"],
    "a bit of the model": [() => flip(pathOf("model", 2, 2), -1), "ERR_CHECKSUM"],
    "a folder in a shard's place": [
      () => {
        rmSync(pathOf("model", 2, 2));
        mkdirSync(pathOf("model", 2, 2));
      },
      "ERR_FILE",
    ],
  };

  it.each(Object.entries(cases))("%s", async (_, [spoil, code = "ERR_CHECKPOINT"]) => {
    const parts = ranksOf(make, 2);
    train(parts, {}, 0, 2);
    await save(parts);
    spoil();
    const [optimizer] = ranksOf(make, 1);
    const before = snapshot(optimizer!);
    const error = await rejection(loadShardFiles(folder, optimizer!));
    expect(error).toMatchObject({ code });
    expect(error.message, error.message).toMatch(/^".+": expected .+, got .+$/s);
    expect(error.message).toContain(folder);
    expect(unchanged(optimizer!, before)).toBe(true);
    // Not busy, and as if nothing had been.
    optimizer!.step();
  });

  it("what other tools add to the index does not matter", async () => {
    await save(ranksOf(make, 2));
    edit("model", (index) => {
      index.metadata.total_parameters = 40;
      index.comment = "ours";
    });
    await loadShardFiles(folder, ranksOf(make, 1)[0]!);
  });
});

it("while shards are loaded the optimizer refuses other calls", async () => {
  await save(ranksOf(make, 2));
  const [optimizer] = ranksOf(make, 1);
  const loading = loadShardFiles(folder, optimizer!);
  expect(() => optimizer!.step()).toThrow(expect.objectContaining({ code: "ERR_BUSY" }));
  expect(await rejection(saveShards(folder, optimizer!, { rank: 0, ranks: 1, run }))).toMatchObject({
    code: "ERR_BUSY",
  });
  await loading;
  expect(optimizer!.step().step).toBe(1);
});

it("a rank that owns a hundredth reads that, the headers, and at most two blocks of 64 KiB for each tensor", async () => {
  const shapes = { w: [40000, 64], v: [3000, 100] };
  await save(ranksOf(make, 1, shapes));
  const size = ["model", "optimizer"].reduce((sum, kind) => sum + statSync(pathOf(kind, 1, 1)).size, 0);
  let bytes = 0;
  let largest = 0;
  const { open } = fs;
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    const original = file.read.bind(file) as (...args: unknown[]) => Promise<{ bytesRead: number }>;
    file.read = (async (...args: unknown[]) => {
      const result = await original(...args);
      bytes += result.bytesRead;
      largest = Math.max(largest, result.bytesRead);
      return result;
    }) as never;
    return file;
  });
  const rows = (all: number): [number, number] => [all * 0.37, all * 0.38];
  const part = AdamW.createSync({
    w: { shape: shapes.w, rows: rows(40000) },
    v: { shape: shapes.v, rows: rows(3000) },
  });
  await loadShardFiles(folder, part);
  expect(part.param("w")).toEqual(dyadic(40000 * 64, 0).slice(14800 * 64, 15200 * 64));
  expect(size).toBeGreaterThan(30e6);
  const headers = 2 * 16384;
  expect(bytes).toBeLessThan(size / 100 + 6 * 2 * 65536 + headers);
  expect(largest).toBeLessThan(2 ** 17);
});

it("saving takes no second copy of the state", async () => {
  const optimizer = AdamW.createSync({ w: { shape: [1 << 24] } });
  const grown: number[] = [];
  const before = process.memoryUsage().arrayBuffers;
  const { open } = fs;
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    const file = await open(...args);
    const write = file.write.bind(file) as (...args: unknown[]) => Promise<unknown>;
    file.write = ((...args: unknown[]) => {
      grown.push(process.memoryUsage().arrayBuffers - before);
      return write(...args);
    }) as never;
    return file;
  });
  await saveShards(folder, optimizer, { rank: 0, ranks: 1, run });
  expect(grown.length).toBeGreaterThan(100);
  expect(Math.max(...grown)).toBeLessThan(8 << 20);
});

it("values that change while they are saved are noticed", async () => {
  const [part] = ranksOf(make, 1);
  const { open } = fs;
  vi.spyOn(fs, "open").mockImplementation(async (...args) => {
    part!.param("w")[3] = 7;
    return open(...args);
  });
  expect(await rejection(saveShards(folder, part!, { rank: 0, ranks: 1, run }))).toMatchObject({ code: "ERR_BUSY" });
});

it("arguments of a wrong kind", async () => {
  const [part] = ranksOf(make, 1);
  const options = { rank: 0, ranks: 1, run };
  for (const wrong of [undefined, null, 3, ""] as unknown as string[]) {
    for (const call of [
      () => saveShards(wrong, part!, options),
      () => completeShards(wrong),
      () => loadShardFiles(wrong, part!),
    ]) {
      expect(await rejection(call())).toMatchObject({
        name: "TypeError",
        message: expect.stringMatching(/^"directory": expected a path/),
      });
    }
  }
  expect(await rejection(saveShards(folder, part!, { ...options, rank: 1 }))).toMatchObject({
    code: "ERR_OUT_OF_RANGE",
  });
  expect(await rejection(saveShards(folder, {} as never, options))).toMatchObject({ name: "TypeError" });
  expect(existsSync(folder)).toBe(false);
});
