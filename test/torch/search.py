#!/usr/bin/python3
"""Looks for the element that drifts farthest from torch.optim's, over millions of random ones.

    npm run build && /usr/bin/python3 test/torch/search.py [--seed 1] [--elements 4194304] [--steps 100]

Each 65,536 elements share hyper-parameters, which are drawn from the seed; parameters and gradients are those of generate.py. Ours are
computed by search.ts in a process of its own. At steps 1, 2, 10, 100, … it prints how far parameters are apart, how far each is from
PyTorch's run in float64, in units of lr · step + |parameter|, and, where decay is not in the gradient, how many moments have other
bits. README.md has what it found.
"""

import argparse
import json
import pathlib
import subprocess

from generate import STEPS, capability, group, run, tensor  # first: it says which of PyTorch's kernels run
import numpy as np
import torch

ROOT = pathlib.Path(__file__).parents[2]
LENGTH = 65536
MOMENTS = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]


def random_case(random, seed):
    def choose(*values):
        return values[random.integers(len(values))]

    mode = choose("adam", "adamw")
    options = dict(
        lr=float(10 ** random.uniform(-5, -1)),
        betas=choose((0.9, 0.999), (0.9, 0.99), (0.95, 0.98), (0.9, 0.95), (0.8, 0.9999), (0.0, 0.99)),
        eps=choose(1e-8, 1e-8, 1e-6, 1e-4),
        wd=choose(0.0, 0.01, 0.1),
        amsgrad=choose(False, True),
        maximize=choose(False, True),
    )
    gradients = choose("dense", "dense", "sparse", "positive")
    return dict(name=str(seed), mode=mode, gradients=gradients, groups=[group([tensor("w", LENGTH, seed)], **options)])


def ours(cases, steps):
    """The bytes of search.ts: for each case and step the parameter and its moments."""
    command = ["node", "--import", "tsx", "test/torch/search.ts"]
    node = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    node.stdin.write(json.dumps(dict(cases=cases, steps=steps)).encode())
    node.stdin.close()
    while values := node.stdout.read(4 * LENGTH):
        yield np.frombuffer(values, dtype=np.float32)


class Errors:
    """The largest and the root mean square of errors."""

    def __init__(self):
        self.largest, self.squares, self.count = 0.0, 0.0, 0

    def add(self, errors):
        assert not np.isnan(errors).any()
        self.largest = max(self.largest, float(errors.max()))
        self.squares += float((errors**2).sum())
        self.count += errors.size

    def __str__(self):
        return f"largest {self.largest:.2e}, rms {(self.squares / self.count) ** 0.5:.2e}"


class Comparison:
    """All elements after one step."""

    def __init__(self):
        self.apart, self.ours, self.theirs = Errors(), Errors(), Errors()
        self.ours_nearer = self.theirs_nearer = 0
        self.farthest = ""

    def add(self, case, step, ours, theirs, exact):
        options = case["groups"][0]["options"]
        unit = options["lr"] * step + np.abs(theirs)
        apart, ours_off, theirs_off = (np.abs(x) / unit for x in [ours - theirs, ours - exact, theirs - exact])
        i = int(apart.argmax())
        if apart[i] > self.apart.largest:
            self.farthest = (
                f"element {i} of {case['mode']}, {case['gradients']}, {options}: "
                f"ours {ours_off[i]:.2e} and PyTorch's {theirs_off[i]:.2e} from float64"
            )
        for errors, values in [(self.apart, apart), (self.ours, ours_off), (self.theirs, theirs_off)]:
            errors.add(values)
        self.ours_nearer += int((ours_off < theirs_off).sum())
        self.theirs_nearer += int((theirs_off < ours_off).sum())

    def __str__(self):
        return (
            f"  apart:              {self.apart}\n"
            f"    at {self.farthest}\n"
            f"  ours from float64:  {self.ours}; nearer at {self.ours_nearer}\n"
            f"  theirs:             {self.theirs}; nearer at {self.theirs_nearer}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--elements", type=int, default=4194304)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(options.seed)
    cases = [random_case(random, int(random.integers(2**31))) for _ in range(-(-options.elements // LENGTH))]
    steps = sorted({step for step in STEPS if step < options.steps} | {options.steps})

    comparisons = {step: Comparison() for step in steps}
    other_bits = moments = 0
    values = ours(cases, steps)
    for case in cases:
        coupled = case["mode"] == "adam" and case["groups"][0]["options"]["weightDecay"] > 0
        for (step, single), (_, double) in zip(run(case, torch.float32, steps), run(case, torch.float64, steps)):
            (theirs, state), (exact, _) = single["w"], double["w"]
            comparisons[step].add(case, step, next(values).astype(np.float64), theirs.double().numpy(), exact.numpy())
            for key in MOMENTS:
                if key not in state:
                    continue
                mine, theirs = next(values), state[key].numpy()
                if coupled:
                    continue
                # Ours may have been flushed to zero.
                flushed = (mine == 0) & (np.abs(theirs) < 2.0**-126)
                other_bits += int(((mine != theirs) & ~flushed).sum())
                moments += mine.size

    print(f"{len(cases) * LENGTH} elements, seed {options.seed}, torch {torch.__version__}, {capability()}")
    for step, comparison in comparisons.items():
        print(f"step {step}\n{comparison}")
    print(f"moments with other bits: {other_bits} of {moments}")


if __name__ == "__main__":
    main()
