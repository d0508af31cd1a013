import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW } from "fused-adam";
import { encodeCheckpoint, loadCheckpoint } from "fused-adam/checkpoint";
import { expect, test } from "vitest";
import { HOST, noNodeOptions, notBuilt, on, ranInVitest, unless } from "../support/host.js";
import { edited, fileOf, type LooseHeader, signed, split, stepped, tiny, typedError } from "./support.js";

const good = encodeCheckpoint(stepped(tiny()), { params: true });

function errorOf(bytes: Uint8Array) {
  const error = typedError(() => loadCheckpoint(tiny(), bytes));
  expect(error).toBeDefined();
  return error!;
}

test("header lengths that lie", () => {
  const { header, data } = split(good);
  const text = JSON.stringify(header);
  const honest = BigInt(new TextEncoder().encode(text).length);
  const lies = [0n, 1n, honest - 1n, honest + 1n, BigInt(good.length), BigInt(good.length) - 7n, 100_000_001n];
  const wide = [31n, 32n, 53n, 63n].flatMap((power) => [2n ** power - 1n, 2n ** power, 2n ** power + honest]);
  for (const length of [...lies, ...wide, 2n ** 64n - 1n]) {
    expect(errorOf(fileOf(text, data, length)).code, String(length)).toBe("ERR_CHECKPOINT");
  }
  expect(errorOf(fileOf(text, data, 2n ** 64n - 1n)).message).toContain("18446744073709551615");
});

const HEADERS: Record<string, (header: LooseHeader) => void> = {
  "a shape whose product overflows": (h) => {
    h["w.exp_avg"].shape = [2 ** 32, 2 ** 32, 2 ** 32];
  },
  "a shape larger than its bytes": (h) => {
    h["w.exp_avg"].shape = [2 ** 30, 2];
  },
  "a shape that is transposed into more": (h) => {
    h["w.exp_avg"].shape = [4, 2];
  },
  "a negative dimension": (h) => {
    h["w.exp_avg"].shape = [-2, -2];
  },
  "a fraction of a dimension": (h) => {
    h["w.exp_avg"].shape = [0.5, 8];
  },
  "a dimension past 2^53": (h) => {
    h["w.exp_avg"].shape = [2 ** 53, 0];
  },
  "a shape that is no array": (h) => {
    h["w.exp_avg"].shape = 4;
  },
  "no shape": (h) => void delete h["w.exp_avg"].shape,
  "no type": (h) => void delete h["w.exp_avg"].dtype,
  "no offsets": (h) => void delete h["w.exp_avg"].data_offsets,
  "an unknown type": (h) => {
    h["w.exp_avg"].dtype = "F33";
  },
  "a type from the prototype": (h) => {
    h["w.exp_avg"].dtype = "constructor";
  },
  "a type that is no string": (h) => {
    h["w.exp_avg"].dtype = 32;
  },
  "an unknown key": (h) => {
    h["w.exp_avg"].extra = 1;
  },
  "offsets that overlap": (h) => {
    h["w.exp_avg"].data_offsets = h.w.data_offsets;
  },
  "offsets that leave a gap": (h) => {
    h["w.exp_avg"].data_offsets = h["w.exp_avg"].data_offsets.map((x: number) => x + 4);
  },
  "offsets that run backwards": (h) => h["w.exp_avg"].data_offsets.reverse(),
  "offsets past the end": (h) => {
    h["é.max_exp_avg_sq"].data_offsets = [1e9, 1e9 + 4];
  },
  "offsets past 2^53": (h) => {
    h["w.exp_avg"].data_offsets = [2 ** 60, 2 ** 60 + 16];
  },
  "one offset": (h) => h["w.exp_avg"].data_offsets.pop(),
  "three offsets": (h) => h["w.exp_avg"].data_offsets.push(0),
  "an entry that is null": (h) => {
    h["w.exp_avg"] = null;
  },
  "an entry that is an array": (h) => {
    h["w.exp_avg"] = [];
  },
  "metadata that is no object": (h) => {
    h.__metadata__ = "fused-adam";
  },
  "metadata with a number": (h) => {
    h.__metadata__.version = 1;
  },
  "metadata with an object": (h) => {
    h.__metadata__.steps = { w: 3 };
  },
  "no metadata": (h) => void delete h.__metadata__,
  "no format": (h) => void delete h.__metadata__.format,
  "another format": (h) => {
    h.__metadata__.format = "pt";
  },
  "no version": (h) => void delete h.__metadata__.version,
  "the next version": (h) => {
    h.__metadata__.version = "3";
  },
  "a version that looks like 2": (h) => {
    h.__metadata__.version = "2.0";
  },
  "a group that does not say its rule": (h) => {
    h.__metadata__.param_groups = h.__metadata__.param_groups.replace(',"decoupled_weight_decay":true', "");
  },
  "a rule in a version that has none": (h) => {
    h.__metadata__.version = "1";
  },
  "an unknown metadata key": (h) => {
    h.__metadata__.checksun = "xxh32:00000000";
  },
  "an unknown kernel": (h) => {
    h.__metadata__.kernel = "auto";
  },
  "an unknown checksum": (h) => {
    h.__metadata__.checksum = "crc32:00000000";
  },
  "a checksum that is too short": (h) => {
    h.__metadata__.checksum = "xxh32:0";
  },
  "a checksum in capitals": (h) => {
    h.__metadata__.checksum = "xxh32:ABCDEF01";
  },
  "no steps": (h) => void delete h.__metadata__.steps,
  "steps that are no JSON": (h) => {
    h.__metadata__.steps = "{";
  },
  "steps that go on after the end": (h) => {
    h.__metadata__.steps += " 1";
  },
  "steps with a key twice": (h) => {
    h.__metadata__.steps = '{"w":3,"é":3,"\\u0077":3}';
  },
  "groups that are no array": (h) => {
    h.__metadata__.param_groups = "{}";
  },
  "groups with an unknown key": (h) => {
    h.__metadata__.param_groups = h.__metadata__.param_groups.replace('"lr"', '"l"');
  },
};

test.each(Object.keys(HEADERS))("%s", (title) => {
  const bytes = edited(stepped(tiny()), (header) => HEADERS[title]!(header));
  expect(errorOf(bytes).code).toBe("ERR_CHECKPOINT");
});

test("lr, betas and eps that are no legal numbers", () => {
  for (const [key, value] of [
    ["lr", "1e999"],
    ["lr", "-1"],
    ["lr", "NaN"],
    ["lr", '"0.1"'],
    ["lr", "null"],
    ["eps", "Infinity"],
    ["eps", "-1e-8"],
    ["weight_decay", "+1"],
    ["betas", "[0.9]"],
    ["betas", "[0.9,1]"],
    ["betas", "[0.9,0.99,0.9]"],
    ["betas", "0.9"],
    ["amsgrad", "0"],
    ["maximize", '"false"'],
    ["decoupled_weight_decay", "1"],
    ["params", '["é"]'],
    ["params", '["w","w"]'],
    ["params", "[]"],
    ["params", "[3]"],
  ] as const) {
    const bytes = edited(stepped(tiny()), ({ __metadata__ }) => {
      const groups = __metadata__.param_groups as string;
      const pattern = new RegExp(`"${key}":(\\[[^\\]]*\\]|[^,}]+)`);
      expect(groups).toMatch(pattern);
      __metadata__.param_groups = groups.replace(pattern, `"${key}":${value}`);
    });
    expect(errorOf(bytes).message, `${key} ${value}`).toMatch(/param_groups/);
  }
});

test("what is no checkpoint says what it is instead, and another model's names both sets of names", () => {
  const hub = edited(stepped(tiny()), (header) => {
    header.__metadata__ = { format: "pt" };
  });
  expect(errorOf(hub).message).toBe('"format": expected "fused-adam", got "pt": not a checkpoint of fused-adam');
  const none = edited(stepped(tiny()), (header) => {
    delete header.__metadata__;
  });
  expect(errorOf(none).message).toBe('"format": expected "fused-adam", got none: not a checkpoint of fused-adam');
  const text = new TextEncoder().encode("epoch,loss\n1,0.5\n");
  expect(errorOf(text).message).toMatch(
    /^"header length": expected at most 9 \(of 17 bytes\), got \d+: not a safetensors/,
  );
  const other = AdamW.createSync(Object.fromEntries(Array.from("abcdefgh", (name) => [name, { shape: [1] }])));
  expect(errorOf(encodeCheckpoint(other)).message).toBe(
    '"steps": expected the parameters w, é, got a, b, c, d, e, f and 2 more',
  );
});

test("names", () => {
  const cases: [(header: LooseHeader) => void, string][] = [
    [
      (h) => {
        h.__metadata__.steps = '{"w":3}';
      },
      '"steps": expected the parameters w, é, got w',
    ],
    [
      (h) => {
        h.__metadata__.steps = '{"w":3,"é":3,"x":3}';
      },
      '"steps": expected the parameters w, é, got w, é, x',
    ],
    [
      (h) => {
        h.extra = { dtype: "F32", shape: [0], data_offsets: [0, 0] };
      },
      '"extra"',
    ],
    [
      (h) => {
        h["w.max_exp_avg_sq"] = { dtype: "F32", shape: [0], data_offsets: [0, 0] };
      },
      '"w.max_exp_avg_sq"',
    ],
    [
      (h) => {
        h.__metadata__.param_groups = h.__metadata__.param_groups.replace('["w"]', "[]");
      },
      "param_groups",
    ],
    [
      (h) => {
        h.__metadata__.param_groups = h.__metadata__.param_groups.replace('"amsgrad":false', '"amsgrad":true');
      },
      '"w.max_exp_avg_sq"',
    ],
    [
      (h) => {
        h.__metadata__.param_groups = h.__metadata__.param_groups.replace('"amsgrad":true', '"amsgrad":false');
      },
      '"é.max_exp_avg_sq"',
    ],
  ];
  for (const [edit, message] of cases) {
    const error = errorOf(edited(stepped(tiny()), edit));
    expect(error.code).toBe("ERR_STATE_MISMATCH");
    expect(error.message).toContain(message);
  }
  const partly = edited(stepped(tiny()), (header) => {
    header["é "] = header.é;
    delete header.é;
  });
  expect(errorOf(partly)).toMatchObject({ code: "ERR_STATE_MISMATCH" });
  const flat = edited(stepped(tiny()), (header) => {
    header.w.shape = [4];
  });
  expect(errorOf(flat).message).toBe('"w": expected shape [2, 2], got [4]');
});

test("shapes of as many bytes, but not the parameter's", () => {
  const make = (...shape: number[]) => AdamW.createSync({ w: { shape } });
  for (const [there, here] of [
    [[4], [4, 1]],
    [[4, 1], [4]],
    [
      [1, 4],
      [4, 1],
    ],
    [[], [1]],
    [[1], []],
    [
      [0, 2],
      [0, 3],
    ],
  ] as const) {
    const error = typedError(() => loadCheckpoint(make(...here), encodeCheckpoint(make(...there), { params: false })));
    expect(error).toMatchObject({ code: "ERR_SHAPE_MISMATCH" });
    expect(error!.message).toContain(`expected shape [${here.join(", ")}], got [${there.join(", ")}]`);
  }
});

test("errors have at most 2,000 characters, whatever a file or a caller names", () => {
  const long = "x".repeat(1_000_000);
  const many = Array.from({ length: 100_000 }, () => 1);
  const files: Record<string, (header: LooseHeader) => void> = {
    "a tensor's name": (h) => {
      h[long] = { ...h["w.exp_avg"], data_offsets: [0] };
    },
    "a tensor too many": (h) => {
      h[long] = { dtype: "F32", shape: [0], data_offsets: [0, 0] };
    },
    "a tensor's key": (h) => {
      h["w.exp_avg"][long] = 1;
    },
    "a type": (h) => {
      h["w.exp_avg"].dtype = long;
    },
    "a shape": (h) => {
      h["w.exp_avg"].shape = [...many, 4];
    },
    "a key of the metadata": (h) => {
      h.__metadata__[long] = "";
    },
    "a version": (h) => {
      h.__metadata__.version = long;
    },
    "a group's key": (h) => {
      h.__metadata__.param_groups = `[{"${long}":1}]`;
    },
  };
  for (const [what, change] of Object.entries(files)) {
    const { message } = errorOf(edited(tiny(), change));
    expect(message.length, what).toBeLessThan(2000);
  }
  const calls: Record<string, () => unknown> = {
    "an option": () => AdamW.createSync([], { [long]: 1 }),
    "a parameter": () => AdamW.createSync({ [long]: { shape: [-1] } }),
    "a shape": () => AdamW.createSync([{ shape: many, data: new Float32Array(2) }]),
    "a bigint": () => AdamW.createSync([new Float32Array(1)], { lr: (10n ** 10_000n) as never }),
    "a symbol": () => AdamW.createSync([new Float32Array(1)], { lr: Symbol(long) as never }),
  };
  for (const [what, call] of Object.entries(calls)) {
    expect(typedError(call)!.message.length, what).toBeLessThan(2000);
  }
});

test("without a checksum, too: a byte too many, and a byte too few", () => {
  const bytes = edited(stepped(tiny()), () => {});
  loadCheckpoint(tiny(), bytes);
  for (const wrong of [Uint8Array.of(...bytes, 0), bytes.subarray(0, -1), bytes.subarray(0, -4)]) {
    expect(errorOf(wrong)).toMatchObject({ code: "ERR_CHECKPOINT" });
    expect(errorOf(wrong).message).toContain("where the last tensor ends");
  }
});

test("text that is no header", () => {
  const { header, data } = split(edited(stepped(tiny()), () => {}));
  const text = JSON.stringify(header);
  const repeated = `{"w":${JSON.stringify(header.w)},${text.slice(1)}`;
  const escaped = `{"\\u0077":${JSON.stringify(header.w)},${text.slice(1)}`;
  const twice = text.replace('"format"', '"version":"1","format"');
  for (const bad of [repeated, escaped, twice]) expect(errorOf(fileOf(bad, data)).message).toContain("every key once");
  const texts = [
    ` ${text}`,
    `\ufeff${text}`,
    text.slice(0, -1),
    `${text}}`,
    `${text}x`,
    `${text}\0`,
    `[${text}]`,
    "{",
    "{}x",
    "null",
    "",
  ];
  const loose = [
    text.replace("{", "{,"),
    text.replace('":', '"'),
    text.replaceAll('"', "'"),
    `{"a\nb":1,${text.slice(1)}`,
  ];
  for (const bad of [...texts, ...loose, text.replace("}", ",}"), text.replace('"F32"', '"\\x46"'), "{/**/}"]) {
    expect(errorOf(fileOf(bad, data)).code, bad.slice(0, 20)).toBe("ERR_CHECKPOINT");
  }
  const latin1 = Uint8Array.from(Buffer.from(text, "latin1"));
  const file = new Uint8Array(8 + latin1.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(latin1.length), true);
  file.set(latin1, 8);
  file.set(data, 8 + latin1.length);
  expect(errorOf(file).message).toContain("UTF-8");
  const victim = tiny();
  loadCheckpoint(victim, fileOf(`${text} \n\t`, data));
});

test("a checksum that holds does not excuse anything", () => {
  expect(signed(good)).toEqual(good);
  const spoilt = Uint8Array.from(good);
  spoilt.fill(0xff, good.length - 4);
  expect(errorOf(spoilt).code).toBe("ERR_CHECKSUM");
  expect(errorOf(signed(spoilt)).code).toBe("ERR_NON_FINITE");
  // The digits must stand where the checksum is said to be, not come out of an escape.
  const text = Buffer.from(good).toString("latin1").replace("xxh32:", "xxh32\\u003a");
  const padded = Uint8Array.from(Buffer.from(text.replace("     ", ""), "latin1"));
  expect(errorOf(padded).code).toBe("ERR_CHECKPOINT");
});

/** Loads in a process of its own, which has the memory of a small multiple of the file. */
const SCRIPT = `
import { readFileSync } from "node:fs";
import { AdamW } from "fused-adam";
import { loadCheckpoint } from "fused-adam/checkpoint";
const optimizer = AdamW.createSync({ w: { shape: [2, 2] } });
const results = process.argv.slice(1).map((path) => {
  const bytes = readFileSync(path);
  try { loadCheckpoint(optimizer, bytes); return ["loaded"]; }
  catch (error) { return [error.code, error.message.length]; }
});
console.log(JSON.stringify(results));
`;

/** Elsewhere V8 has shown its time and memory. */
const inV8Once = HOST.brief && on("node", "deno") && ranInVitest("takes long");
const asProcess = unless(notBuilt, noNodeOptions, inV8Once);

test("no header makes loading hang, or allocate more than a small multiple of the file", asProcess, () => {
  const size = 4_000_000;
  const fill = (unit: string) => unit.repeat(size / unit.length);
  const many = Array.from(
    { length: size / 60 },
    (_, i) => `"${i}":{"dtype":"F32","shape":[],"data_offsets":[${4 * i},${4 * i + 4}]}`,
  );
  const texts = {
    arrays: fill("["),
    objects: fill('{"":'),
    "a deep shape": `{"w":{"dtype":"F32","shape":${fill("[")}`,
    "a long shape": `{"w":{"dtype":"F32","shape":[${fill("0,")}0],"data_offsets":[0,0]}}`,
    "a product that never ends": `{"w":{"dtype":"F32","shape":[${fill("9,")}9],"data_offsets":[0,0]}}`,
    "a long name": `{"${fill("x")}":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`,
    "a name of escapes": `{"${fill("\\u0041")}":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`,
    "a string without an end": `{"${fill('\\"')}`,
    "a number without an end": `{"w":{"dtype":"F32","shape":[${fill("1")}`,
    "many tensors": `{${many.join(",")}}`,
    "many metadata": `{"__metadata__":{${Array.from({ length: size / 12 }, (_, i) => `"${i}":""`).join(",")}}}`,
    "white space": `{${fill(" ")}`,
    "long steps": `{"__metadata__":{"format":"fused-adam","version":"2","param_groups":"[]","steps":"${fill("[")}"}}`,
  };
  const folder = mkdtempSync(join(tmpdir(), "fused-adam-"));
  try {
    const paths = Object.entries(texts).map(([title, text]) => {
      const path = join(folder, title);
      writeFileSync(path, fileOf(text, new Uint8Array(title === "many tensors" ? 4 * many.length : 0)));
      return path;
    });
    const args = ["--max-old-space-size=100", "--input-type=module", "--eval", SCRIPT, ...paths];
    // All take some seconds. The square of their size would take hours.
    const printed = execFileSync(process.execPath, args, { encoding: "utf8", timeout: 240_000, killSignal: "SIGKILL" });
    const results = JSON.parse(printed) as [code: string, length: number][];
    results.forEach(([code, length], i) => {
      expect(code, paths[i]).toMatch(/^ERR_CHECKPOINT|ERR_STATE_MISMATCH$/);
      expect(length, paths[i]).toBeLessThan(1000);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test(
  "four times as many tensors, up to 40,000, take less than six times as long to save and load",
  unless(inV8Once),
  () => {
    const optimizers = [10_000, 40_000].map((length) =>
      AdamW.createSync(Object.fromEntries(Array.from({ length }, (_, i) => [`p${i}`, { shape: [1] }]))),
    );
    // The shortest times of up to five: of what else the machine did there is least in them.
    const shortest = [Infinity, Infinity];
    for (let tries = 0; tries < 5 && !(shortest[1]! < 6 * shortest[0]!); tries++) {
      for (const [i, optimizer] of optimizers.entries()) {
        const start = performance.now();
        loadCheckpoint(optimizer, encodeCheckpoint(optimizer, { params: true }));
        shortest[i] = Math.min(shortest[i]!, performance.now() - start);
      }
    }
    expect(shortest[1]).toBeLessThan(6 * shortest[0]!);
  },
);

test("names from a file are escaped in messages: no control character, no change of direction", () => {
  const name = "a\u001b[2J\u009b\u007f\u202e\u2066\u200bb";
  const shapes: ((header: LooseHeader) => void)[] = [
    (h) => {
      h[name] = h.w;
    },
    (h) => {
      h.w[name] = 0;
    },
    (h) => {
      h.w.dtype = name;
    },
    (h) => {
      h.__metadata__[name] = "";
    },
    (h) => {
      h.__metadata__.kernel = name;
    },
    (h) => {
      h.__metadata__.steps = h.__metadata__.steps.replace('"w"', JSON.stringify(name));
    },
    (h) => {
      h.__metadata__.param_groups = h.__metadata__.param_groups.replace('"w"', JSON.stringify(name));
    },
  ];
  for (const edit of shapes) expect(errorOf(edited(stepped(tiny()), edit)).message).toMatch(/^[ -~é…]+$/);
  expect(errorOf(fileOf(`{"w":${name}`)).message).toMatch(/^[ -~…]+$/);
});
