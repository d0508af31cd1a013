import { AdamW } from "fused-adam";
import { fromOptax, fromTfjs, fromTorch, toOptax, toTfjs, toTorch } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { revoked, sample } from "../support/api.js";
import { dyadic } from "../support/model.js";
import { stepped, typedError } from "./support.js";

// biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
type Any = any;
const state = () => stepped(sample()).stateDict();
const names = ["a", "b", "c", "d"];
const plain = () => AdamW.createSync({ 10: dyadic(2, 1), w: dyadic(3, 2), 9: dyadic(1, 3) });
const order = ["w", "10", "9"];

describe("torch", () => {
  test("there and back", () => {
    const torch = toTorch(state(), names);
    expect(Object.keys(torch.state)).toEqual(["0", "1", "2", "3"]);
    expect(torch.param_groups.map(({ params }) => params)).toEqual([[0, 1], [2], [3]]);
    expect(torch.param_groups[0]).not.toHaveProperty("bias_correction");
    expect(torch.state[2]).toEqual(state().state.c);
    expect(fromTorch(torch, names)).toEqual(state());
    const optimizer = sample();
    optimizer.loadStateDict(fromTorch(torch, names));
    expect(optimizer.stateDict()).toEqual(state());
  });

  test("groups and parameters come in the order of the names", () => {
    const shuffled = state();
    shuffled.param_groups.reverse();
    for (const group of shuffled.param_groups) group.params.reverse();
    expect(toTorch(shuffled, names)).toEqual(toTorch(state(), names));
    const swapped = ["d", "b", "a", "c"];
    const torch = toTorch(state(), swapped);
    expect(torch.param_groups.map(({ params }) => params)).toEqual([[0], [1, 2], [3]]);
    expect(torch.state[3]).toEqual(state().state.c);
    expect(fromTorch(torch, swapped).state).toEqual(state().state);
  });

  test("what PyTorch adds is left out, and what old releases lack has its default", () => {
    const torch = toTorch(plain().stateDict(), order) as Any;
    const runs = { foreach: null, fused: true, capturable: false, differentiable: false };
    const notes = { initial_lr: 0.1, max_lr: 1, min_lr: 0, name: "all", layer: "head", param_names: order };
    Object.assign(torch.param_groups[0], runs, notes);
    torch.state[0].step = Float32Array.of(12);
    torch.state[1].step = [13];
    delete torch.param_groups[0].maximize;
    const optimizer = plain();
    optimizer.loadStateDict(fromTorch(torch, order));
    expect(order.map((name) => optimizer.stateDict().state[name]!.step)).toEqual([12, 13, 0]);
    for (const key of [...Object.keys(runs), "amsgrad", "decoupled_weight_decay"]) delete torch.param_groups[0][key];
    optimizer.loadStateDict(fromTorch(torch, order));
  });

  test("numbers that are arrays or tensors of one element", () => {
    const torch = toTorch(plain().stateDict(), order) as Any;
    const numbers: [unknown, number][] = [
      [7, 7],
      [[7], 7],
      [Float32Array.of(7), 7],
      [Float64Array.of(7), 7],
      [Int32Array.of(7), 7],
      [BigInt64Array.of(7n), 7],
      [BigInt64Array.of(2n ** 53n - 1n), 2 ** 53 - 1],
      [{ data: BigInt64Array.of(7n), shape: [] }, 7],
      [{ dtype: "float32", shape: [1], data: [7] }, 7],
      [{ length: 1, 0: 7 }, 7],
    ];
    for (const [given, expected] of numbers) {
      torch.state[0].step = given;
      expect(fromTorch(torch, order).state.w!.step).toBe(expected);
    }
    for (const given of [Float32Array.of(0.125), [0.125], { shape: [], data: Float32Array.of(0.125) }]) {
      Object.assign(torch.param_groups[0], { lr: given, betas: [given, given], weight_decay: given });
      const [group] = fromTorch(torch, order).param_groups;
      expect(group).toMatchObject({ lr: 0.125, betas: [0.125, 0.125], weight_decay: 0.125 });
    }
    for (const given of [
      [],
      [1, 2],
      [[7]],
      ["7"],
      "7",
      {},
      { data: [] },
      { data: "7" },
      { data: null },
      null,
      true,
      7n,
    ]) {
      torch.param_groups[0].lr = 0.1;
      torch.state[0].step = given;
      expect(typedError(() => fromTorch(torch, order))?.message, String(given)).toMatch(/^"state\[0\]\.step"/);
      torch.state[0].step = 7;
      torch.param_groups[0].lr = given;
      expect(typedError(() => fromTorch(torch, order))?.message, String(given)).toMatch(/^"param_groups\[0\]\.lr"/);
    }
    torch.param_groups[0].lr = 0.1;
    torch.state[0].step = BigInt64Array.of(2n ** 53n);
    expect(typedError(() => fromTorch(torch, order))?.code).toBe("ERR_OUT_OF_RANGE");
  });

  test("keys of Apex and DeepSpeed that change the arithmetic are taken over", () => {
    const torch = (group: object) => {
      const dict = toTorch(stepped(plain()).stateDict(), order) as Any;
      const { lr, betas, eps, weight_decay, params } = dict.param_groups[0];
      return { ...dict, param_groups: [{ lr, betas, eps, weight_decay, params, ...group }] };
    };
    for (const [value, expected] of [
      [false, false],
      [0, false],
      [1, true],
      [true, true],
      [undefined, true],
    ]) {
      const dict = fromTorch(torch({ bias_correction: value }), order);
      const optimizer = plain();
      optimizer.loadStateDict(dict);
      expect(optimizer.paramGroups[0]!.biasCorrection).toBe(expected);
      expect(dict.param_groups[0]).not.toHaveProperty("decoupled_weight_decay");
    }
    for (const value of [true, 1]) {
      expect(fromTorch(torch({ adam_w_mode: value }), order).param_groups[0]!.decoupled_weight_decay).toBe(true);
    }
    const l2 = fromTorch(torch({ adam_w_mode: 0, weight_decay: 0.1 }), order);
    expect(typedError(() => plain().loadStateDict(l2))?.code).toBe("ERR_STATE_MISMATCH");
    const both = { adam_w_mode: true, decoupled_weight_decay: false, amsgrad: false };
    expect(typedError(() => fromTorch(torch(both), order))?.message).toMatch(/adam_w_mode/);
    for (const value of [null, 2, "true", []]) {
      for (const key of ["bias_correction", "adam_w_mode", "amsgrad", "maximize"]) {
        expect(
          typedError(() => fromTorch(torch({ [key]: value }), order)),
          `${key} ${value}`,
        ).toBeDefined();
      }
    }
    // Apex counts the steps of a group.
    const apex = torch({ step: 41 });
    for (const entry of Object.values(apex.state) as Any[]) delete entry.step;
    expect(order.map((name) => fromTorch(apex, order).state[name]!.step)).toEqual([41, 41, 41]);
    apex.state[1].step = 5;
    expect(order.map((name) => fromTorch(apex, order).state[name]!.step)).toEqual([41, 5, 41]);
    delete apex.param_groups[0].step;
    expect(typedError(() => fromTorch(apex, order))?.message).toMatch(/^"state\[0\]\.step"/);
  });

  test.each([
    [
      "NAdam's group",
      ({ param_groups }: Any) => Object.assign(param_groups[0], { momentum_decay: 0.004 }),
      "momentum_decay",
    ],
    ["NAdam's state", ({ state }: Any) => Object.assign(state[0], { mu_product: 0.9 }), "mu_product"],
    ["RAdam's group", ({ param_groups }: Any) => delete param_groups[0].amsgrad, "RAdam"],
    ["Adamax's state", ({ state }: Any) => Object.assign(state[0], { exp_inf: state[0].exp_avg_sq }), "exp_inf"],
    ["Adagrad's state", ({ state }: Any) => Object.assign(state[0], { sum: state[0].exp_avg }), "sum"],
    [
      "transformers' AdamW",
      ({ param_groups }: Any) => Object.assign(param_groups[0], { correct_bias: false }),
      "correct_bias",
    ],
    ["Apex's LAMB", ({ param_groups }: Any) => Object.assign(param_groups[0], { max_grad_norm: 1 }), "max_grad_norm"],
    ["8-bit moments", ({ state }: Any) => Object.assign(state[0], { state1: new Uint8Array(5) }), "state1"],
    ["a group without weight decay", ({ param_groups }: Any) => delete param_groups[0].weight_decay, "weight_decay"],
    [
      "a key that is not known",
      ({ param_groups }: Any) => Object.assign(param_groups[0], { nesterov: true }),
      "nesterov",
    ],
  ])("states of other optimizers are refused: %s", (_, change, what) => {
    const torch = toTorch(state(), names);
    change(torch);
    expect(typedError(() => fromTorch(torch, names))?.message).toContain(what);
  });

  test("a Map is told what makes an object of it", () => {
    const torch = toTorch(state(), names);
    const map = { ...torch, state: new Map(Object.entries(torch.state)) } as Any;
    expect(typedError(() => fromTorch(map, names))?.message).toBe(
      '"state": expected an object by number of the parameter (Object.fromEntries makes one of a Map), got a Map',
    );
  });

  test("`allowMissing`: what PyTorch has not stepped begins at step 0", () => {
    const torch = toTorch(stepped(plain()).stateDict(), order);
    delete torch.state[1];
    for (const options of [{}, { allowMissing: false }, { allowMissing: undefined }]) {
      expect(typedError(() => fromTorch(torch, order, options))?.code).toBe("ERR_STATE_MISMATCH");
    }
    for (const options of [null, 1, { allowMissing: 1 }, { allowMissing: null }, { missing: true }]) {
      expect(typedError(() => fromTorch(torch, order, options as Any))?.name).toBe("TypeError");
    }
    for (const partial of [false, true]) {
      const to = stepped(plain(), 5);
      const report = to.loadStateDict(fromTorch(torch, order, { allowMissing: true }), { partial });
      expect(report).toMatchObject({ loaded: ["9", "w"], missing: ["10"] });
      expect(to.stateDict().state[10]).toEqual(plain().stateDict().state[10]);
      expect(to.stateDict().state.w).toEqual(stepped(plain()).stateDict().state.w);
    }
    // And back: as PyTorch, without an entry. The others need moments.
    const dict = fromTorch(torch, order, { allowMissing: true });
    expect(toTorch(dict, order)).toEqual(torch);
    expect(typedError(() => toTfjs(dict, order))?.code).toBe("ERR_STATE_MISMATCH");
    expect(typedError(() => toOptax(dict))?.code).toBe("ERR_STATE_MISMATCH");
  });

  test("what does not fit is refused", () => {
    const bad = (change: (torch: Any) => void) => {
      const torch = toTorch(state(), names);
      change(torch);
      return expect(typedError(() => fromTorch(torch, names))).toBeDefined();
    };
    bad((torch) => delete torch.state[2]);
    bad((torch) => delete torch.state);
    bad((torch) => delete torch.param_groups);
    bad((torch) => torch.param_groups.pop());
    bad((torch) => torch.param_groups[0].params.push(3));
    for (const step of [1.5, -1, [1, 2], [], "3", null, undefined, Float32Array.of(2 ** 60)]) {
      bad((torch) => {
        torch.state[0].step = step;
      });
    }
    bad((torch) => {
      torch.state[0].exp_avg = [1, 2];
    });
    for (const wrong of [
      ["a", "b", "c"],
      [...names, "e"],
      ["a", "b", "c", "c"],
      ["a", "c", "b", "d"],
      ["a", "b", "c", 3],
    ]) {
      expect(
        typedError(() => toTorch(state(), wrong as string[])),
        String(wrong),
      ).toBeDefined();
    }
    const uncorrected = state();
    uncorrected.param_groups[0]!.bias_correction = false;
    expect(typedError(() => toTorch(uncorrected, names))?.message).toContain("bias_correction");
    const unstepped = toTorch(state(), names);
    delete unstepped.state[3];
    expect(typedError(() => fromTorch(unstepped, names))?.message).toBe(
      '"state[3]": expected the state of the string "d", got none: PyTorch has not stepped it yet',
    );
  });
});

describe("tfjs", () => {
  test("there and back, in getWeights' order", () => {
    const from = stepped(plain());
    const weights = toTfjs(from.stateDict(), order);
    expect(weights.map(({ name }) => name)).toEqual(["iter", "w/m", "10/m", "9/m", "w/v", "10/v", "9/v"]);
    expect(weights[0]!.data).toEqual(Int32Array.of(3));
    const to = plain();
    to.loadStateDict(fromTfjs(weights, order, to.stateDict().param_groups));
    expect(to.stateDict()).toEqual(from.stateDict());
  });

  test("what tfjs does not have is refused", () => {
    expect(typedError(() => toTfjs(state(), names))?.message).toContain("AMSGrad");
    const optimizer = stepped(plain());
    optimizer.step({ skip: ["w"] });
    expect(typedError(() => toTfjs(optimizer.stateDict(), order))?.message).toContain("3, 4");
    const late = plain().stateDict();
    for (const entry of Object.values(late.state)) entry.step = 2 ** 31;
    expect(typedError(() => toTfjs(late, order))?.message).toContain("int32");
    const { param_groups } = plain().stateDict();
    const weights = toTfjs(plain().stateDict(), order);
    expect(typedError(() => fromTfjs(weights.slice(1), order, param_groups))).toBeDefined();
    expect(typedError(() => fromTfjs(weights, ["w", "w", "9"], param_groups))).toBeDefined();
    weights[2] = { name: "10/m", data: new Int32Array(2) };
    expect(typedError(() => fromTfjs(weights, order, param_groups))?.message).toContain("weights[2].data");
  });
});

describe("optax", () => {
  test.each([false, true])("there and back (amsgrad: %s)", (amsgrad) => {
    const make = () => AdamW.createSync({ ["__proto__"]: dyadic(2, 1), w: dyadic(3, 2) }, { amsgrad });
    const from = stepped(make());
    const optax = toOptax(from.stateDict());
    expect(Object.keys(optax)).toEqual(["count", "mu", "nu", ...(amsgrad ? ["nu_max"] : [])]);
    expect([optax.count, Object.keys(optax.mu)]).toEqual([3, ["__proto__", "w"]]);
    const to = make();
    to.loadStateDict(fromOptax(optax, to.stateDict().param_groups));
    expect(to.stateDict()).toEqual(from.stateDict());
  });

  test("what optax does not have is refused", () => {
    expect(typedError(() => toOptax(state()))?.message).toContain("amsgrad");
    const optimizer = stepped(plain());
    optimizer.step({ skip: ["w"] });
    expect(typedError(() => toOptax(optimizer.stateDict()))?.message).toContain("step");
    const optax = toOptax(plain().stateDict());
    delete optax.nu.w;
    expect(typedError(() => fromOptax(optax, plain().stateDict().param_groups))).toBeDefined();
  });
});

test("steps that cannot be read are refused", () => {
  for (const step of [revoked(), {}, [], [1, 2], null, "1"]) {
    const torch = toTorch(state(), names);
    (torch.state[0] as Any).step = step;
    expect(typedError(() => fromTorch(torch, names))).toBeDefined();
    const tfjs: Any = toTfjs(plain().stateDict(), plain().names);
    tfjs[0].data = step;
    expect(typedError(() => fromTfjs(tfjs, plain().names, []))).toBeDefined();
  }
});

test("arguments of a wrong kind are refused", () => {
  // optax keeps no groups.
  const fine: Any[] = [[null], revoked(), [revoked()]].map((param_groups) => ({ state: {}, param_groups }));
  const wrong: Any[] = [
    undefined,
    null,
    3,
    "x",
    [],
    {},
    { state: null },
    new Float32Array(1),
    new Map([["state", {}]]),
    revoked(),
    { state: revoked() },
    ...fine,
  ];
  for (const [n, value] of wrong.entries()) {
    const calls: (() => unknown)[] = [
      () => toTorch(value, names),
      () => fromTorch(value, names),
      () => toTfjs(value, names),
      () => fromTfjs(value, names, []),
      () => fromTfjs([value, value, value], ["w"], []),
      () => fromOptax(value, []),
      () => toTorch(state(), value),
      () => toTfjs(state(), value),
    ];
    if (!fine.includes(value)) calls.push(() => toOptax(value));
    calls.forEach((call, i) => {
      expect(typedError(call), `call ${i}, value ${n}`).toBeDefined();
    });
  }
});
