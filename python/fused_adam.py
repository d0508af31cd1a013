#!/usr/bin/env python3
"""PyTorch states to and from fused-adam checkpoints. Needs torch alone.

    python fused_adam.py from-torch MODEL.pt OPTIMIZER.pt CHECKPOINT [--names FILE]
    python fused_adam.py to-torch CHECKPOINT MODEL.pt OPTIMIZER.pt [--names FILE]

MODEL.pt is torch.save(model.state_dict(), path), OPTIMIZER.pt is
torch.save(optimizer.state_dict(), path), of torch.optim.Adam or AdamW, or of
Apex's or DeepSpeed's Adam. States of other optimizers are refused.

PyTorch knows parameters by number. FILE has their names, one a line, in the
order in which the optimizer was given them, group by group. Without it the
order is that of MODEL.pt, or that of the checkpoint's groups.

.pt files are loaded with weights_only, which torch 1 can rarely do: --trust loads
them without, if you trust them. They could run any code.
"""

import argparse
import json
import pickle
import struct
import sys

import torch

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
HYPER = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")
RULE = "decoupled_weight_decay"
# How torch runs an optimizer, and what schedulers note: nothing of it changes what is computed.
RUNNING = ("foreach", "fused", "capturable", "differentiable")
NOTES = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr", "param_names", "params")
# Apex's and DeepSpeed's.
APEX = ("bias_correction", "adam_w_mode", "step")


def read(path):
    """Tensors and metadata of a safetensors file of float32 tensors."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, info in header.items():
        if info["dtype"] != "F32":
            raise ValueError(f"{name}: expected F32, got {info['dtype']}")
        start, end = info["data_offsets"]
        values = data[start:end]
        flat = torch.frombuffer(values, dtype=torch.float32) if values else torch.zeros(0)
        tensors[name] = flat.reshape(info["shape"]).clone()
    return tensors, metadata


def write(path, tensors, metadata):
    """A safetensors file of float32 tensors."""
    header, chunks, start = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        values = tensor.detach().to("cpu", torch.float32).contiguous()
        chunks.append(values.numpy().tobytes())
        end = start + len(chunks[-1])
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for chunk in chunks:
            file.write(chunk)


def names_of(metadata):
    """The parameters of a checkpoint, group by group."""
    return [name for group in json.loads(metadata["param_groups"]) for name in group["params"]]


def to_torch(tensors, metadata, names=None):
    """What optimizer.load_state_dict takes. `names` as in the module's docstring."""
    if metadata.get("format") != "fused-adam":
        raise ValueError(f"expected a fused-adam checkpoint, got format {metadata.get('format')}")
    names = names_of(metadata) if names is None else list(names)
    if sorted(names) != sorted(names_of(metadata)):
        raise ValueError(f"expected the names {names_of(metadata)}, got {names}")
    steps = json.loads(metadata["steps"])
    groups = json.loads(metadata["param_groups"])
    state = {}
    for i, name in enumerate(names):
        state[i] = {"step": torch.tensor(float(steps[name]))}
        for key in MOMENTS:
            if f"{name}.{key}" in tensors:
                state[i][key] = tensors[f"{name}.{key}"]
    for group in groups:
        if not group.pop("bias_correction"):
            raise ValueError("bias_correction: PyTorch has no optimizer without it")
        group["params"] = sorted(map(names.index, group["params"]))
    groups.sort(key=lambda group: group["params"])
    return {"state": state, "param_groups": groups}


def _hyper(group):
    """Hyper-parameters of a group; what changes the arithmetic in a way that Adam does not have is an error."""
    for key, value in group.items():
        if key not in (*HYPER, RULE, *APEX, *RUNNING, *NOTES) and not isinstance(value, str):
            raise ValueError(f"param_groups: {key} is not Adam's, and may change what is computed")
    if "amsgrad" not in group and any(key in group for key in (*RUNNING, RULE)):
        raise ValueError("param_groups: expected amsgrad, as in every Adam of PyTorch, got none, as in RAdam")
    rules = {bool(group[key]) for key in (RULE, "adam_w_mode") if key in group}
    if len(rules) > 1:
        raise ValueError(f"param_groups: {RULE} and adam_w_mode differ")
    hyper = {key: float(group[key]) for key in ("lr", "eps", "weight_decay")}
    hyper["betas"] = [float(beta) for beta in group["betas"]]
    flags = {key: bool(group.get(key, False)) for key in ("amsgrad", "maximize")}
    flags["bias_correction"] = bool(group.get("bias_correction", True))
    return {**hyper, **flags, **{RULE: rule for rule in rules}}


def from_torch(state_dict, params):
    """Tensors and metadata of a checkpoint.

    `state_dict` is optimizer.state_dict(), `params` the parameters by name, in the
    optimizer's order.
    """
    numbers = [i for group in state_dict["param_groups"] for i in group["params"]]
    if len(numbers) != len(params):
        raise ValueError(f"expected names of {len(numbers)} parameters, got {len(params)}: {list(params)}")
    name_of = dict(zip(numbers, params))
    tensors, steps, groups = {}, {}, []
    for group in state_dict["param_groups"]:
        groups.append({**_hyper(group), "params": [name_of[i] for i in group["params"]]})
        for i in group["params"]:
            name, param = name_of[i], params[name_of[i]]
            state = state_dict["state"].get(i, {})
            for key in state:
                if key not in ("step", *MOMENTS):
                    raise ValueError(f"{name}: the state has {key}, which is not Adam's")
            keys = MOMENTS if groups[-1]["amsgrad"] else MOMENTS[:2]
            # Apex counts the steps of a group.
            steps[name], tensors[name] = int(state.get("step", group.get("step", 0)) if state else 0), param
            for key in keys:
                # A parameter that has not been stepped has no moments.
                moment = state[key] if state else torch.zeros_like(param, dtype=torch.float32)
                if moment.shape != param.shape:
                    raise ValueError(f"{name}: expected moments of shape {list(param.shape)}, got {list(moment.shape)}")
                tensors[f"{name}.{key}"] = moment
    # Older releases of PyTorch do not say which rule made a state. Version 1 of the format has no place for it.
    told = all(RULE in group for group in groups)
    if not told:
        groups = [{key: value for key, value in group.items() if key != RULE} for group in groups]
    metadata = {"format": "fused-adam", "version": "2" if told else "1"}
    metadata["steps"] = json.dumps(steps)
    metadata["param_groups"] = json.dumps(groups)
    return tensors, metadata


def load(path, trust):
    # A pickle can run any code, so only tensors and plain data are let in.
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: cannot be loaded safely (torch 2 or later can; --trust, if you trust the file)") from error


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["from-torch", "to-torch"])
    parser.add_argument("paths", nargs=3, metavar="PATH")
    parser.add_argument("--names", metavar="FILE")
    parser.add_argument("--trust", action="store_true")
    options = parser.parse_args(args)
    names = None
    if options.names is not None:
        with open(options.names, encoding="utf-8") as file:
            names = [line.rstrip("\n") for line in file if line.strip()]
    try:
        if options.command == "from-torch":
            model, optimizer, checkpoint = options.paths
            params = load(model, options.trust)
            if names is not None:
                params = {name: params[name] for name in names}
            write(checkpoint, *from_torch(load(optimizer, options.trust), params))
        else:
            checkpoint, model, optimizer = options.paths
            tensors, metadata = read(checkpoint)
            state = to_torch(tensors, metadata, names)
            order = names_of(metadata) if names is None else names
            if order[0] not in tensors:
                raise ValueError("the checkpoint has no parameters")
            torch.save({name: tensors[name] for name in order}, model)
            torch.save(state, optimizer)
    except (ValueError, KeyError, OSError) as error:
        sys.exit(f"fused_adam.py: {error}")


if __name__ == "__main__":
    main()
