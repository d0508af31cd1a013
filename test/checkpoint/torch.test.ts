/** To and from the real PyTorch (Debian's python3-torch), by python/fused_adam.py. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adam, AdamW } from "fused-adam";
import { fromTorch, type TorchStateDict, toTorch } from "fused-adam/checkpoint";
import { loadCheckpointFile, saveCheckpointFile } from "fused-adam/node";
import { beforeAll, describe, expect, test } from "vitest";
import { unless } from "../support/host.js";
import type { Optimizer } from "../support/model.js";
import { interpreter, noPython, noTorch, python } from "../support/python.js";
import { root } from "../support/root.js";
import { scratch } from "../support/scratch.js";
import { expectClose, typedError } from "./support.js";

const SHAPES = { "layer.weight": [3, 4], "layer.bias": [3], scale: [] } as const;
const NAMES = Object.keys(SHAPES) as (keyof typeof SHAPES)[];

/** The same run in Python: `go(model, optimizer, from, to)`, with gradients that are exact in float32. */
const SCRIPT = `
import json, sys, torch
kind, amsgrad, by, theirs, ours, ours_json = sys.argv[1], sys.argv[2] == "true", *sys.argv[3:]
sys.path.insert(0, ${JSON.stringify(join(root, "python"))})
sys.dont_write_bytecode = True
from fused_adam import from_torch, read, to_torch, write
if by == "safetensors":
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
    def read(path):
        with safe_open(path, "pt") as file: return load_file(path), file.metadata()
    write = lambda path, tensors, metadata: save_file(tensors, path, metadata)
SHAPES = ${JSON.stringify(SHAPES)}
def value(seed, step, i): return ((i * 7 + step * 13 + seed * 5) % 31 - 15) / 16
def model():
    named = {}
    for seed, (name, shape) in enumerate(SHAPES.items()):
        count = torch.Size(shape).numel()
        named[name] = torch.nn.Parameter(torch.tensor([value(seed, 0, i) for i in range(count)]).reshape(shape))
    return named
def make(named, kind, amsgrad):
    first, *rest = named.values()
    groups = [{"params": [first]}, {"params": rest, "lr": 0.02, "weight_decay": 0.2, "betas": (0.8, 0.95)}]
    return getattr(torch.optim, kind)(groups, lr=0.01, weight_decay=0.1, amsgrad=amsgrad)
def go(named, optimizer, start, end):
    for step in range(start, end):
        for seed, parameter in enumerate(named.values()):
            flat = torch.tensor([value(seed, step + 1, i) for i in range(parameter.numel())])
            parameter.grad = flat.reshape(parameter.shape)
        optimizer.step()
dumps = []
def dump(named, optimizer):
    state = optimizer.state_dict()
    flat = lambda x: x.flatten().tolist() if torch.is_tensor(x) else x
    params = {name: flat(parameter) for name, parameter in named.items()}
    state["state"] = {i: {key: flat(x) for key, x in entry.items()} for i, entry in state["state"].items()}
    dumps.append({"params": params, **state})
def begin():
    named = model()
    return named, make(named, kind, amsgrad)
`;

/** There: K steps, saved, and on to N. */
const BEGUN_THERE = `
named, optimizer = begin()
go(named, optimizer, 0, K)
write(theirs, *from_torch(optimizer.state_dict(), named))
dump(named, optimizer)
go(named, optimizer, K, N)
dump(named, optimizer)
`;

/** There: what was saved here after K steps, by file and by toTorch, and each of them on to N. */
const BEGUN_HERE = `
named, optimizer = begin()
tensors, metadata = read(ours)
for name, parameter in named.items(): parameter.data = tensors[name]
optimizer.load_state_dict(to_torch(tensors, metadata, list(SHAPES)))
dump(named, optimizer)
go(named, optimizer, K, N)
dump(named, optimizer)

named, optimizer = begin()
saved = json.load(open(ours_json))
state = {}
for i, (name, parameter) in enumerate(named.items()):
    parameter.data = torch.tensor(saved["params"][name]).reshape(parameter.shape)
    state[i] = {key: torch.tensor(x).reshape(parameter.shape) if isinstance(x, list) else x
                for key, x in saved["state"][str(i)].items()}
optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
dump(named, optimizer)
go(named, optimizer, K, N)
dump(named, optimizer)
`;

function value(seed: number, step: number, i: number): number {
  return (((i * 7 + step * 13 + seed * 5) % 31) - 15) / 16;
}

type Kind = "Adam" | "AdamW";

function make(kind: Kind, amsgrad: boolean): Optimizer {
  const sources = Object.fromEntries(
    NAMES.map((name, seed) => {
      const length = SHAPES[name].reduce((product: number, size) => product * size, 1);
      return [name, { shape: SHAPES[name], data: Float32Array.from({ length }, (_, i) => value(seed, 0, i)) }];
    }),
  );
  const { [NAMES[0]!]: first, ...rest } = sources;
  const groups = [
    { params: { [NAMES[0]!]: first! } },
    { params: rest, lr: 0.02, weightDecay: 0.2, betas: [0.8, 0.95] as const },
  ];
  const options = { lr: 0.01, weightDecay: 0.1, amsgrad };
  return kind === "Adam" ? Adam.createSync(groups, options) : AdamW.createSync(groups, options);
}

function go(optimizer: Optimizer, start: number, end: number): void {
  for (let step = start; step < end; step++) {
    NAMES.forEach((name, seed) => {
      optimizer.grad(name).forEach((_, i, grad) => {
        grad[i] = value(seed, step + 1, i);
      });
    });
    optimizer.step();
  }
}

/** A state dict of PyTorch's as `dump` prints it: lists for tensors. */
interface Dump {
  readonly params: Record<string, number[]>;
  readonly state: Record<string, Record<string, number[] | number>>;
  readonly param_groups: TorchStateDict["param_groups"];
}

function torchState({ state, param_groups }: Omit<Dump, "params">): TorchStateDict {
  const arrays = Object.entries(state).map(([i, entry]) => [
    i,
    Object.fromEntries(Object.entries(entry).map(([key, x]) => [key, Array.isArray(x) ? Float32Array.from(x) : x])),
  ]);
  return { state: Object.fromEntries(arrays), param_groups };
}

function expectSame(optimizer: Optimizer, dump: Dump): void {
  const { state } = optimizer.stateDict();
  const torch = torchState(dump).state;
  NAMES.forEach((name, i) => {
    expectClose(optimizer.param(name), dump.params[name]!, (x) => Math.abs(x) + 0.02 * 30, name);
    expectClose(state[name]!.exp_avg, [...torch[i]!.exp_avg], () => 1, `${name}.exp_avg`);
    expectClose(state[name]!.exp_avg_sq, [...torch[i]!.exp_avg_sq], (x) => x, `${name}.exp_avg_sq`);
    if (state[name]!.max_exp_avg_sq) {
      expectClose(state[name]!.max_exp_avg_sq, [...torch[i]!.max_exp_avg_sq!], (x) => x, `${name}.max_exp_avg_sq`);
    }
  });
}

/** Bit for bit: what was carried over, before anything was computed with it. PyTorch's releases up to 2.6 do not tell the rule. */
function expectEqual(optimizer: Optimizer, dump: Dump): void {
  const { state, param_groups } = fromTorch(torchState(dump), NAMES);
  const rule = { decoupled_weight_decay: optimizer instanceof AdamW };
  expect(optimizer.stateDict()).toEqual({ state, param_groups: param_groups.map((group) => ({ ...rule, ...group })) });
  for (const name of NAMES) expect([...optimizer.param(name)]).toEqual(dump.params[name]);
}

const [K, N] = [11, 30];
const folder = scratch();

/** The optimizer, AMSGrad, and what reads and writes files there: ours, or the safetensors package. */
const VARIANTS = [
  ["AdamW", false, "fused_adam.py"],
  ["Adam", true, "fused_adam.py"],
  ["AdamW", true, "safetensors"],
] as const;

const lacking = noPython("torch", "torch", "safetensors");

describe.each(VARIANTS)("PyTorch's %s, amsgrad %s, files by %s", unless(lacking), (kind, amsgrad, by) => {
  const files = () =>
    ["theirs", "ours", "ours.json"].map((name) => join(folder, `${kind} ${by} ${name}`)) as [string, string, string];
  const run = (script: string) => {
    const text = `${SCRIPT}K, N = ${K}, ${N}\n${script}print(json.dumps(dumps))`;
    return JSON.parse(python(text, { args: [kind, String(amsgrad), by, ...files()] })) as Dump[];
  };
  let saved: Dump;
  let straight: Dump;
  beforeAll(() => {
    [saved, straight] = run(BEGUN_THERE) as [Dump, Dump];
  });

  test("an uninterrupted run is the same here and there, within float32", () => {
    const optimizer = make(kind, amsgrad);
    go(optimizer, 0, N);
    expectSame(optimizer, straight);
  });

  test("begun there, continued here, by file", async () => {
    const optimizer = make(kind, amsgrad);
    go(optimizer, 0, 2);
    await loadCheckpointFile(files()[0], optimizer);
    expectEqual(optimizer, saved);
    go(optimizer, K, N);
    expectSame(optimizer, straight);
  });

  test("begun there, continued here, by fromTorch", () => {
    const optimizer = make(kind, amsgrad);
    optimizer.loadStateDict(fromTorch(torchState(saved), NAMES));
    for (const name of NAMES) optimizer.param(name).set(saved.params[name]!);
    expectEqual(optimizer, saved);
    go(optimizer, K, N);
    expectSame(optimizer, straight);
  });

  test("begun here, continued there, by file and by toTorch", async () => {
    const optimizer = make(kind, amsgrad);
    go(optimizer, 0, K);
    await saveCheckpointFile(files()[1], optimizer, { params: true });
    const params = Object.fromEntries(NAMES.map((name) => [name, optimizer.param(name)]));
    const lists = (_: string, x: unknown) => (x instanceof Float32Array ? [...x] : x);
    writeFileSync(files()[2], JSON.stringify({ params, ...toTorch(optimizer.stateDict(), NAMES) }, lists));
    const [file, fileEnd, dict, dictEnd] = run(BEGUN_HERE) as [Dump, Dump, Dump, Dump];
    for (const loaded of [file, dict]) expectEqual(optimizer, loaded);
    go(optimizer, K, N);
    for (const end of [fileEnd, dictEnd]) {
      expectSame(optimizer, end);
      expect(end.state["0"]!.step).toEqual(straight.state["0"]!.step);
    }
    expectSame(optimizer, straight);
  });
});

describe("states of PyTorch's other optimizers", unless(noTorch()), () => {
  /** What each leaves after three steps, with and without a state. */
  const STATES = `
import json, sys, torch
sys.path.insert(0, ${JSON.stringify(join(root, "python"))})
sys.dont_write_bytecode = True
from fused_adam import from_torch
found = {}
for kind in ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop", "SGD", "Adadelta", "ASGD", "Rprop"]:
    for steps in [0, 3]:
        w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        optimizer = getattr(torch.optim, kind)([w], lr=0.01)
        for _ in range(steps):
            w.grad = torch.tensor([0.5, -0.25])
            optimizer.step()
        state = optimizer.state_dict()
        try:
            from_torch(state, {"w": w})
            refused = ""
        except (ValueError, KeyError) as error:
            refused = str(error)
        plain = lambda x: x.flatten().tolist() if torch.is_tensor(x) else x
        state["state"] = {i: {key: plain(x) for key, x in entry.items()} for i, entry in state["state"].items()}
        found[f"{kind} {steps}"] = [state, refused]
print(json.dumps(found))
`;

  test("are refused, here and by fused_adam.py; those of Adam and AdamW are not", () => {
    const found = JSON.parse(python(STATES)) as Record<string, [Omit<Dump, "params">, string]>;
    for (const [kind, [dump, refused]] of Object.entries(found)) {
      const optimizer = Adam.createSync({ w: { shape: [2] } });
      const load = () => optimizer.loadStateDict(fromTorch(torchState(dump), ["w"], { allowMissing: true }));
      if (/^AdamW? /.test(kind)) {
        expect(refused, kind).toBe("");
        expect(load().loaded, kind).toEqual(kind.endsWith("3") ? ["w"] : []);
      } else {
        expect(refused, kind).not.toBe("");
        expect(typedError(load)?.code, kind).toMatch(/^ERR_(STATE_MISMATCH|INVALID_TYPE)$/);
      }
    }
  });
});

describe("the command", unless(noTorch()), () => {
  const SAVE = `
import sys, torch
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for _ in range(3):
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
torch.save(model.state_dict(), sys.argv[1])
torch.save(optimizer.state_dict(), sys.argv[2])
`;
  const LOAD = `
import json, sys, torch
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(model.parameters())
model.load_state_dict(torch.load(sys.argv[1]))
optimizer.load_state_dict(torch.load(sys.argv[2]))
(weight, bias), state = model.parameters(), optimizer.state
print(json.dumps({"weight": weight.flatten().tolist(), "bias": bias.tolist(), "lr": optimizer.param_groups[0]["lr"],
    **{key: state[weight][key].flatten().tolist() for key in ("exp_avg", "exp_avg_sq")}, "step": int(state[bias]["step"])}))
`;
  const command = (...args: string[]) =>
    execFileSync(interpreter("torch"), ["-B", join(root, "python/fused_adam.py"), ...args], {
      encoding: "utf8",
      stdio: "pipe",
    });
  const at = (name: string) => join(folder, name);
  const create = () => AdamW.createSync({ weight: { shape: [2, 3] }, bias: { shape: [2] } });

  test("from-torch, load, save, to-torch: model and optimizer have the same bits again", async () => {
    const [model, state] = [at("model.pt"), at("optimizer.pt")];
    python(SAVE, { args: [model, state] });
    const before = JSON.parse(python(LOAD, { args: [model, state] }));
    command("from-torch", model, state, at("run.safetensors"), "--trust");
    const optimizer = create();
    await loadCheckpointFile(at("run.safetensors"), optimizer);
    const { exp_avg, exp_avg_sq, step } = optimizer.stateDict().state.weight!;
    expect([...optimizer.param("weight")]).toEqual(before.weight);
    expect([[...exp_avg], [...exp_avg_sq], step]).toEqual([before.exp_avg, before.exp_avg_sq, 3]);
    expect(optimizer.paramGroups[0]!.lr).toBe(0.01);
    await saveCheckpointFile(at("back.safetensors"), optimizer, { params: true });
    command("to-torch", at("back.safetensors"), at("model2.pt"), at("optimizer2.pt"));
    expect(JSON.parse(python(LOAD, { args: [at("model2.pt"), at("optimizer2.pt")] }))).toEqual(before);
  });

  test("what does not fit is one line that says so", async () => {
    python(SAVE, { args: [at("model.pt"), at("optimizer.pt")] });
    writeFileSync(at("names"), "weight\n");
    const few = () =>
      command("from-torch", at("model.pt"), at("optimizer.pt"), at("x"), "--trust", "--names", at("names"));
    expect(few).toThrow(/fused_adam\.py: expected names of 2 parameters, got 1: \['weight'\]\n$/);
    writeFileSync(at("names"), "bias\nweight\n");
    expect(few).toThrow(/fused_adam\.py: bias: expected moments of shape \[2\], got \[2, 3\]\n$/);
    await saveCheckpointFile(at("state"), create(), { params: false });
    const bare = () => command("to-torch", at("state"), at("m"), at("o"));
    expect(bare).toThrow(/fused_adam\.py: the checkpoint has no parameters\n$/);
  });
});
