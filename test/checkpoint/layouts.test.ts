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
    Object.assign(torch.param_groups[0], { foreach: null, capturable: false, initial_lr: 0.1, fused: true });
    delete torch.param_groups[0].amsgrad;
    delete torch.param_groups[0].maximize;
    torch.state[0].step = Float32Array.of(12);
    torch.state[1].step = [13];
    const ours = fromTorch(torch, order);
    const optimizer = plain();
    optimizer.loadStateDict(ours);
    expect(order.map((name) => optimizer.stateDict().state[name]!.step)).toEqual([12, 13, 0]);
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
