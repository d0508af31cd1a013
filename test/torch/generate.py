#!/usr/bin/python3
"""Writes goldens.json: what the real torch.optim.Adam and AdamW do to small tensors, in float32 and in float64.

Run by hand, with Debian's python3-torch:  /usr/bin/python3 test/torch/generate.py
README.md says how the inputs are made; gradients.ts has the same functions.
"""

import os
import sys

# PyTorch's AVX2 and AVX-512 kernels fuse multiplications with additions, in their vector body only; its baseline
# kernels round after every operation. With these the file is the same on every x86-64. Set it outside to see others.
os.environ.setdefault("ATEN_CPU_CAPABILITY", "default")

import json
import pathlib
import re

import numpy as np
import torch

STEPS = [1, 2, 10, 100, 1000]
LAST_GRADIENT_STEP = 100


def mix(x):
    """Chris Wellons's lowbias32, on numpy uint32 arrays (which wrap around)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def random(seed, step, length):
    x = mix(np.full(length, seed, dtype=np.uint32))
    x = mix(x + np.uint32(step))
    return mix(x + np.arange(length, dtype=np.uint32))


def symmetric(bits):
    return ((bits >> np.uint32(8)).astype(np.float64) - 2.0**23) * 2.0**-23


def initial_param(length, seed):
    return symmetric(random(seed, 0, length))


def gradient(length, seed, step, kind):
    bits = random(seed, step, length)
    scale = 2.0 ** ((5 * np.arange(length) + seed) % 16 - 12)
    value = symmetric(bits)
    if kind == "positive":
        value = (bits >> np.uint32(8)).astype(np.float64) * 2.0**-24
    if kind == "sparse":
        value = np.where(bits & np.uint32(7) == 0, value, 0.0)
    if kind == "stops" and step > LAST_GRADIENT_STEP:
        value = np.zeros(length)
    value = value * scale
    assert np.array_equal(value, value.astype(np.float32))
    return value


def group(params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, amsgrad=False, maximize=False):
    options = dict(lr=lr, betas=list(betas), eps=eps, weightDecay=wd, amsgrad=amsgrad, maximize=maximize)
    return dict(options=options, params=params)


def tensor(name, length, seed):
    return dict(name=name, length=length, seed=seed)


def cases():
    seed = 0

    def case(name, mode, gradients="dense", *group_options, **options):
        """One group with both tensors, or, from several option dicts, several groups with one tensor each."""
        nonlocal seed
        seed += 2
        params = [tensor("a", 17, seed - 1), tensor("b", 5, seed)]
        if group_options:
            groups = [group([p], **o) for p, o in zip(params, group_options)]
        else:
            groups = [group(params, **options)]
        return dict(name=name, mode=mode, gradients=gradients, groups=groups)

    return [
        case("adam", "adam"),
        case("adam amsgrad", "adam", amsgrad=True),
        case("adam maximize", "adam", maximize=True),
        case("adam L2 0.01", "adam", wd=0.01),
        case("adam L2 0.1", "adam", wd=0.1),
        case("adam L2 0.1 amsgrad maximize", "adam", wd=0.1, amsgrad=True, maximize=True),
        case("adamw 0", "adamw"),
        case("adamw 0.01", "adamw", wd=0.01),
        case("adamw 0.1", "adamw", wd=0.1),
        case("adamw 0.01 amsgrad", "adamw", wd=0.01, amsgrad=True),
        case("adamw 0.1 amsgrad maximize", "adamw", wd=0.1, amsgrad=True, maximize=True),
        case("adam betas 0 0.99 eps 1e-3", "adam", betas=(0.0, 0.99), eps=1e-3),
        case("adamw lr 1e-2 betas 0.8 0.95 eps 1e-6", "adamw", lr=1e-2, betas=(0.8, 0.95), eps=1e-6, wd=0.05),
        case("adam L2 0.01 lr 0.1 positive gradients", "adam", "positive", lr=0.1, wd=0.01),
        case("adamw 0.01 sparse gradients", "adamw", "sparse", wd=0.01),
        case("adam amsgrad gradients stop", "adam", "stops", amsgrad=True),
        case("adam two groups", "adam", "dense", dict(lr=3e-3, wd=0.1), dict(lr=1e-4)),
        case(
            "adamw two groups", "adamw", "dense",
            dict(lr=1e-2, wd=0.1, amsgrad=True), dict(lr=1e-3, wd=0.0, betas=(0.95, 0.98), maximize=True),
        ),
    ]


def run(case, dtype, steps=STEPS):
    """The tensors after each of the steps, with their state, as they go on: (step, {name: (tensor, state)})."""
    tensors = {
        p["name"]: torch.tensor(initial_param(p["length"], p["seed"]), dtype=dtype, requires_grad=True)
        for g in case["groups"] for p in g["params"]
    }
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["mode"]]([
        dict(
            params=[tensors[p["name"]] for p in g["params"]],
            lr=g["options"]["lr"], betas=tuple(g["options"]["betas"]), eps=g["options"]["eps"],
            weight_decay=g["options"]["weightDecay"], amsgrad=g["options"]["amsgrad"],
            maximize=g["options"]["maximize"], foreach=False,
        )
        for g in case["groups"]
    ])
    for step in range(1, steps[-1] + 1):
        for g in case["groups"]:
            for p in g["params"]:
                value = gradient(p["length"], p["seed"], step, case["gradients"])
                tensors[p["name"]].grad = torch.tensor(value, dtype=dtype)
        optimizer.step()
        if step in steps:
            yield step, {name: (t.detach(), optimizer.state[t]) for name, t in tensors.items()}


def snapshot(param, state):
    """Python floats: a float32 is widened, and repr of that comes back exactly from any JSON reader."""
    values = {"param": param.tolist()}
    for key in ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]:
        if key in state:
            values[key] = state[key].tolist()
    return values


def compact(value):
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    assert json.loads(text) == (value if not isinstance(value, dict) else json.loads(json.dumps(value)))
    return re.sub(r"(?<=\d)\.0(?=[,\]}])", "", text)  # 1.0 -> 1


def capability():
    return re.search(r"CPU capability usage: (.*)", torch.__config__.show()).group(1)


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("goldens.json")
    torch.set_num_threads(1)
    lines = []
    for case in cases():
        head = compact(case)[:-1]
        runs = []
        for name, dtype in [("float32", torch.float32), ("float64", torch.float64)]:
            steps = ",\n".join(
                f'"{step}":{compact({key: snapshot(*found) for key, found in tensors.items()})}'
                for step, tensors in run(case, dtype)
            )
            runs.append(f'"{name}":{{\n{steps}}}')
        lines.append(f"{head},\n{','.join(runs)}}}")
    head = compact(dict(torch=torch.__version__, cpuCapability=capability(), steps=STEPS))[:-1]
    path.write_text(f'{head},"cases":[\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
