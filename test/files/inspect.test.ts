import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { encodeCheckpoint } from "fused-adam/checkpoint";
import { completeShards, saveShards } from "fused-adam/node";
import { expect, test } from "vitest";
import { byteLength, DTYPE_BITS } from "../../src/checkpoint/safetensors.js";
import { fileOf, stepped, tiny } from "../checkpoint/support.js";
import { fileUnless, noNodeOptions, notBuilt, unless } from "../support/host.js";
import { root } from "../support/root.js";
import { scratch } from "../support/scratch.js";

fileUnless(notBuilt);

const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = scratch();

function run(...args: string[]) {
  return runWith([], ...args);
}

function runWith(flags: readonly string[], ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, join(root, bin["fused-adam"]), ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

function inspect(name: string, bytes: Uint8Array) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const { stdout, stderr, status } = run("inspect", path);
  return { status, stdout: stdout.replaceAll(path, "FILE"), stderr: stderr.replaceAll(path, "FILE") };
}

test("a checkpoint: tensors, shapes, steps, groups, norms, and that the checksum holds", () => {
  const optimizer = stepped(tiny());
  optimizer.param("w").set([3, 0, -4, 0]);
  const bytes = encodeCheckpoint(optimizer, { params: true });
  const { stdout, status } = inspect("run", bytes);
  expect(status).toBe(0);
  const digits = /xxh32:([0-9a-f]{8})/.exec(Buffer.from(bytes).toString("latin1"))![1];
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)).toPrecision(6);
  const { w, é } = optimizer.stateDict().state;
  expect(stdout.trimEnd().split("\n")).toEqual([
    `FILE: ${bytes.length} bytes, 7 tensors`,
    `checksum xxh32:${digits} holds`,
    "fused-adam checkpoint, version 2, kernel simd",
    "parameters: included",
    "",
    "group 0: lr 0.001, betas 0.9 0.999, eps 1e-8, weight_decay 0.01, amsgrad false, maximize false, bias_correction true, decoupled_weight_decay true",
    "  w: step 3",
    "",
    "group 1: lr 0.25, betas 0.9 0.999, eps 1e-8, weight_decay 0.01, amsgrad true, maximize false, bias_correction true, decoupled_weight_decay true",
    "  é: step 3",
    "",
    "tensor            type  shape   norm",
    "w                 F32   [2, 2]  5.00000",
    `w.exp_avg         F32   [2, 2]  ${norm(w!.exp_avg)}`,
    `w.exp_avg_sq      F32   [2, 2]  ${norm(w!.exp_avg_sq)}`,
    `é                 F32   [1]     ${norm(optimizer.param("é"))}`,
    `é.exp_avg         F32   [1]     ${norm(é!.exp_avg)}`,
    `é.exp_avg_sq      F32   [1]     ${norm(é!.exp_avg_sq)}`,
    `é.max_exp_avg_sq  F32   [1]     ${norm(é!.max_exp_avg_sq!)}`,
  ]);
  expect(inspect("state", encodeCheckpoint(optimizer, { params: false })).stdout).toContain(
    "\nparameters: not included\n",
  );
  const own = inspect(
    "own",
    encodeCheckpoint(optimizer, { metadata: { epoch: "7" }, tensors: { mean: Float32Array.of(3, 4) } }),
  );
  expect(own.stdout).toContain("\nparameters: included\nepoch: 7\n");
  expect(own.stdout).toMatch(/\nmean +F32 +\[2\] +5\.00000\n/);
  const flipped = bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
  const damaged = inspect("damaged", flipped);
  expect(damaged.status).toBe(1);
  expect(damaged.stdout).toMatch(/checksum xxh32:[0-9a-f]{8} does not hold: the content's is xxh32:[0-9a-f]{8}/);
});

test("any safetensors file: every type is listed, floats have a norm", () => {
  // 2, -1 and 2 in each float type, and 0 or a subnormal that adds nothing; norm 3.
  const floats: Record<string, Uint8Array> = {
    F64: new Uint8Array(Float64Array.of(2, -1, 2, 0).buffer),
    F32: new Uint8Array(Float32Array.of(2, -1, 2, 0).buffer),
    F16: new Uint8Array(Uint16Array.of(0x4000, 0xbc00, 0x4000, 0x0001).buffer),
    BF16: new Uint8Array(Uint16Array.of(0x4000, 0xbf80, 0x4000, 0x0001).buffer),
    F8_E5M2: Uint8Array.of(0x40, 0xbc, 0x40, 0),
    F8_E4M3: Uint8Array.of(0x40, 0xb8, 0x40, 0),
    F8_E5M2FNUZ: Uint8Array.of(0x44, 0xc0, 0x44, 0),
    F8_E4M3FNUZ: Uint8Array.of(0x48, 0xc0, 0x48, 0),
    F8_E8M0: Uint8Array.of(0x80, 0x7f, 0x80, 0),
  };
  let end = 0;
  const chunks: Uint8Array[] = [];
  const entries = [...DTYPE_BITS.keys()].map((dtype) => {
    const data = floats[dtype] ?? new Uint8Array(byteLength(dtype, dtype, [4]));
    chunks.push(data);
    end += data.length;
    return [`a ${dtype}`, { dtype, shape: [4], data_offsets: [end - data.length, end] }];
  });
  const header = { __metadata__: { format: "pt", "ke\u001by": "va\u202elue" }, ...Object.fromEntries(entries) };
  const { stdout, status } = inspect("any", fileOf(header, Buffer.concat(chunks)));
  expect(status).toBe(0);
  expect(stdout).toContain("no checksum\nformat: pt\nke\\u001by: va\\u202elue\n");
  for (const dtype of DTYPE_BITS.keys()) {
    const line = stdout.split("\n").find((row) => row.startsWith(`a ${dtype} `))!;
    expect(line.split(/ {2,}/)).toEqual([`a ${dtype}`, dtype, "[4]", ...(dtype in floats ? ["3.00000"] : [])]);
  }
  const nan = fileOf({ x: { dtype: "F8_E4M3", shape: [2], data_offsets: [0, 2] } }, Uint8Array.of(0x7f, 0x7e));
  expect(inspect("nan", nan).stdout).toMatch(/\bNaN\n/);
  const most = fileOf({ x: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, Uint8Array.of(0x7e));
  expect(inspect("most", most).stdout).toMatch(/\b448\.000\n/);
});

test("a tensor of several megabytes", () => {
  const data = new Float32Array(1_000_003).fill(2);
  const entry = { dtype: "F32", shape: [data.length], data_offsets: [0, data.byteLength] };
  const { stdout } = inspect("large", fileOf({ x: entry }, new Uint8Array(data.buffer)));
  expect(stdout).toContain((2 * Math.sqrt(data.length)).toPrecision(6));
});

test("tensors that begin anywhere, and reach over what is read at a time", () => {
  // 3 bytes, then doubles: none is aligned. Between them thousands of tensors of a few bytes each.
  const parts: [string, string, Uint8Array][] = [["odd", "U8", Uint8Array.of(1, 2, 3)]];
  const doubles = (length: number, value: number) => new Uint8Array(new Float64Array(length).fill(value).buffer);
  parts.push(["first", "F64", doubles(200_000, 3)]);
  for (let i = 0; i < 5000; i++) parts.push([`s${i}`, "F32", new Uint8Array(Float32Array.of(i, 0, 0).buffer)]);
  parts.push(["last", "F64", doubles(300_001, 2)]);
  let end = 0;
  const entries = parts.map(([name, dtype, { length }]) => {
    const size = byteLength(name, dtype, [1]);
    end += length;
    return [name, { dtype, shape: [length / size], data_offsets: [end - length, end] }];
  });
  const { stdout } = inspect(
    "odd",
    fileOf(Object.fromEntries(entries), Buffer.concat(parts.map(([, , data]) => data))),
  );
  const norms = new Map(stdout.split("\n").map((line) => [line.split(" ")[0], line.split(/ {2,}/).at(-1)]));
  expect(norms.get("first")).toBe((3 * Math.sqrt(200_000)).toPrecision(6));
  expect(norms.get("last")).toBe((2 * Math.sqrt(300_001)).toPrecision(6));
  for (let i = 0; i < 5000; i++) expect(norms.get(`s${i}`)).toBe(i.toPrecision(6));
});

const small = unless(noNodeOptions);

test("200,000 tensors: each has its line", () => {
  const count = 200_000;
  const entries = Array.from({ length: count }, (_, i) => [`t${i}`, { dtype: "U8", shape: [0], data_offsets: [0, 0] }]);
  const { stdout, status } = inspect("many", fileOf(Object.fromEntries(entries)));
  const lines = stdout.trimEnd().split("\n");
  expect([status, lines.length]).toEqual([0, count + 4]);
  expect(lines.at(-1)).toMatch(/^t199999 +U8 +\[0\]$/);
});

test("a hostile header of 1.3 MB takes no more than a small multiple of it", small, () => {
  // One cell of each column is as wide as half the header, and there are thousands of rows to pad to it.
  const zero = (dtype: string, ...shape: number[]) => ({ dtype, shape, data_offsets: [0, 0] });
  const rows = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [i, zero("F32", 0)]));
  const header = { ...rows, ["x".repeat(400_000)]: zero("F32", 0), wide: zero("F32", ...new Uint8Array(100_000)) };
  writeFileSync(join(folder, "hostile"), fileOf(header));
  const { stdout, status } = runWith(["--max-old-space-size=100"], "inspect", join(folder, "hostile"));
  expect(status).toBe(0);
  expect(stdout.length).toBeLessThan(3_000_000);
  expect(stdout).toContain("x".repeat(400_000));
});

test("nothing from a file or from a command reaches the terminal as a control character", () => {
  // Escape and the like, C1's control sequence introducer, DEL, what turns the order of characters around, separators of lines.
  const name = "a\u001b[2J\u009b31m\u007f\u202e\u2066\u2028\u200b\u{e0001}b";
  const escaped = String.raw`a\u001b[2J\u009b31m\u007f\u202e\u2066\u2028\u200b\ue0001b`;
  const clean = /^[ -~\n]*$/;
  const entry = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
  const data = new Uint8Array(4);
  const listed = inspect("listed", fileOf({ __metadata__: { [name]: name }, [name]: entry }, data));
  expect(listed.stdout).toContain(`\n${escaped}: ${escaped}\n`);
  expect(listed.stdout).toMatch(clean);
  const bad = [
    { [name]: { ...entry, data_offsets: [4, 8] } },
    { [name]: { ...entry, dtype: name } },
    { [name]: { ...entry, [name]: 0 } },
    { [name]: name },
    { __metadata__: { [name]: 1 } },
    { __metadata__: { format: "fused-adam", version: name, steps: "{}", param_groups: "[]" }, x: entry },
    { __metadata__: { format: "fused-adam", version: "1", steps: `{${name}`, param_groups: "[]" }, x: entry },
    { __metadata__: { format: "fused-adam", version: "1", steps: "{}", param_groups: "[]", [name]: "" }, x: entry },
    { __metadata__: { format: "fused-adam", version: "1", steps: "{}", param_groups: "[]", checksum: name }, x: entry },
  ];
  for (const [i, header] of bad.entries()) {
    const { stderr, stdout, status } = inspect("bad", fileOf(header, data));
    expect([status, stdout], String(i)).toEqual([1, ""]);
    expect(stderr, String(i)).toMatch(clean);
    expect(stderr.length, String(i)).toBeLessThan(2000);
  }
  expect(inspect(name, fileOf({ x: entry }, data)).stdout).toContain(`${escaped}: `);
  for (const args of [[name], ["inspect", "missing", name], ["inspect", `-${name}`], ["inspect", name]]) {
    expect(run(...args).stderr).toMatch(clean);
  }
});

test("a type that is not known is listed with the rest", () => {
  const header = {
    w: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
    later: { dtype: "F8_E4M3FNX", shape: [3], data_offsets: [4, 7] },
    wider: { dtype: "I128", shape: [2], data_offsets: [7, 39] },
  };
  const data = new Uint8Array(39);
  data.set(new Uint8Array(Float32Array.of(-2).buffer));
  const { stdout, status } = inspect("later", fileOf(header, data));
  expect(status).toBe(0);
  expect(stdout.trimEnd().split("\n").slice(3)).toEqual([
    "tensor  type        shape  norm",
    "w       F32         [1]    2.00000",
    "later   F8_E4M3FNX  [3]",
    "wider   I128        [2]",
  ]);
});

test(
  "a named pipe, to which nobody writes, is refused",
  unless(process.platform === "win32" && "Windows has others"),
  () => {
    const pipe = join(folder, "pipe");
    spawnSync("mkfifo", [pipe]);
    const { status, stderr } = run("inspect", pipe);
    expect([status, stderr]).toEqual([1, `"${pipe}": expected a file, got a named pipe\n`]);
  },
);

test("errors are one line, and the exit code says so", () => {
  const good = encodeCheckpoint(tiny());
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(3), /^"FILE: file": expected at least 8 bytes, got 3\n$/],
    [
      good.subarray(0, 40),
      /^"FILE: header length": expected at most 32 \(of 40 bytes\), got \d+: not a safetensors file, or cut off\n$/,
    ],
    [good.subarray(0, good.length - 1), /^"FILE: file": expected \d+ bytes, where the last tensor ends, got \d+\n$/],
  ];
  cases.forEach(([bytes, message], i) => {
    const { stdout, stderr, status } = inspect(`bad ${i}`, bytes);
    expect([stdout, status]).toEqual(["", 1]);
    expect(stderr).toMatch(message);
  });
  const missing = run("inspect", join(folder, "missing"));
  expect(missing.status).toBe(1);
  expect(missing.stderr).toMatch(/^"[^"]+": expected a file that can be read, got ENOENT[^\n]*\n$/);
});

test("a wrong command: what is wrong with it, then the usage, and exit code 2", () => {
  const cases: [string[], string][] = [
    [[], '"command": expected inspect, got nothing'],
    [["convert", "a"], '"command": expected inspect, got convert'],
    [["--verbose"], '"command": expected inspect, got --verbose'],
    [["inspect"], '"inspect": expected one FILE, got nothing'],
    [["inspect", "a", "b"], '"inspect": expected one FILE, got 2 of them'],
    [["inspect", "-x"], '"inspect": expected a FILE (./ in front of a name that starts with -), got -x'],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = run(...args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr.split("\n").slice(0, 3)).toEqual([message, "", "Usage: fused-adam inspect FILE"]);
  }
});

test("--help and --version", () => {
  for (const args of [["--help"], ["-h"], ["inspect", "--help"]]) {
    const { status, stdout, stderr } = run(...args);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.startsWith("Usage: fused-adam inspect FILE\n")).toBe(true);
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const flag of ["--version", "-v"]) expect(run(flag)).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("a folder of shards: complete, not completed, damaged", async () => {
  const path = join(folder, "save");
  const parts = [0, 2].map((first) =>
    stepped(AdamW.createSync({ w: { shape: [3, 5], rows: [first, first + (first ? 1 : 2)] } })),
  );
  const all = () => {
    const { stdout, status } = run("inspect", path);
    return { status, lines: stdout.replaceAll(path, "FOLDER").trimEnd().split("\n") };
  };
  await saveShards(path, parts[0]!, { rank: 0, ranks: 2, run: "r" });
  expect(all()).toEqual({
    status: 1,
    lines: [
      "FOLDER: the save was not completed",
      'damaged: "optimizer": expected the shards of 2 ranks, got none of rank 1',
    ],
  });
  await saveShards(path, parts[1]!, { rank: 1, ranks: 2, run: "r" });
  const rest = [
    'run "r", 2 ranks',
    "parameters: included",
    "",
    "group 0: lr 0.001, betas 0.9 0.999, eps 1e-8, weight_decay 0.01, amsgrad false, maximize false, bias_correction true, decoupled_weight_decay true",
    "  w: step 3",
    "",
    "file                                       tensors  bytes  rows",
  ];
  expect(all()).toEqual({
    status: 1,
    lines: [
      "FOLDER: the save was not completed",
      "every checksum holds",
      ...rest,
      "model/model-00001-of-00002.safetensors          1        40     w[0:2]",
      "model/model-00002-of-00002.safetensors          1        20     w[2:3]",
      "optimizer/optimizer-00001-of-00002.safetensors  2        80     w[0:2]",
      "optimizer/optimizer-00002-of-00002.safetensors  2        40     w[2:3]",
    ].map((line) => line.replace(/^file {7,}/, "file                                            ")),
  });
  await completeShards(path);
  const complete = all();
  expect(complete.status).toBe(0);
  expect(complete.lines.slice(0, 2)).toEqual(["FOLDER: a complete save", "every checksum holds"]);
  expect(complete.lines.slice(-4)).toEqual(
    [
      "model/model-00001-of-00002.safetensors          0        0      ",
      "model/model-00002-of-00002.safetensors          1        60     w[0:3]",
      "optimizer/optimizer-00001-of-00002.safetensors  2        80     w[0:2]",
      "optimizer/optimizer-00002-of-00002.safetensors  2        40     w[2:3]",
    ].map((line) => line.trimEnd()),
  );
  const shard = join(path, "optimizer", "optimizer-00002-of-00002.safetensors");
  const bytes = readFileSync(shard);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(shard, bytes);
  const { status, lines } = all();
  expect(status).toBe(1);
  expect(lines[1]).toMatch(
    /^damaged: "FOLDER\/optimizer\/optimizer-00002-of-00002\.safetensors: w\.exp_avg_sq, rows from 2 on": expected a block with checksum/,
  );

  // One of its files alone.
  const alone = (kind: string) => run("inspect", join(path, kind, `${kind}-00002-of-00002.safetensors`));
  const model = alone("model");
  expect(model.status).toBe(0);
  expect(model.stdout.split("\n").slice(1, 5)).toEqual([
    "every checksum holds",
    "shard of rank 1 (from 0), model",
    'run "r", 2 ranks',
    "parameters: included",
  ]);
  const state = alone("optimizer");
  expect(state.status).toBe(1);
  expect(state.stdout.split("\n")[1]).toMatch(/^damaged: ".*w\.exp_avg_sq, rows from 2 on": expected a block with/);
});
