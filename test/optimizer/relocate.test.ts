/** Tensors that a host moves within its memory between steps: what adapters do, by the method they do it by. */
import { describe, expect, it, vi } from "vitest";
import { Group } from "../../src/optimizer/group.js";
import { AdamW, EXCLUSIVELY } from "../../src/optimizer/optimizer.js";
import { caught, expectError, rangeError } from "../support/api.js";
import { expectSameBits } from "../support/bits.js";
import { dyadic, Model } from "../support/model.js";

const LENGTHS = [20, 12];
const OPTIONS = { lr: 0.01, weightDecay: 0.25 };
type Places = { param: number; grad: number; expAvg: number; expAvgSq: number; maxExpAvgSq: number }[];

/** Regions one after the other. With a gap the second tensor's gradient is so many bytes off; without, both tensors are one run. */
function places(start: number, gap: number): Places {
  const stride = 4 * (LENGTHS[0]! + LENGTHS[1]!) + gap;
  return LENGTHS.map((_, i) => {
    const [param, grad, expAvg, expAvgSq] = [0, 1, 2, 3].map((region) => start + region * stride + i * 4 * LENGTHS[0]!);
    return { param: param!, grad: grad! + i * gap, expAvg: expAvg!, expAvgSq: expAvgSq!, maxExpAvgSq: -1 };
  });
}

describe.each(["simd", "scalar"] as const)("%s", (kernel) => {
  it("steps follow, whether neighbours touch or not, and what is added is kept off the new places", async () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const floats = (at: number, length: number) => new Float32Array(memory.buffer, at, length);
    const values = LENGTHS.map((length, i) => dyadic(length, i));
    const model = new Model("adamw", { 0: values[0]!, 1: values[1]! }, OPTIONS);
    let at = places(1024, 0);
    LENGTHS.forEach((length, i) => {
      floats(at[i]!.param, length).set(values[i]!);
    });
    const params = at.map(({ maxExpAvgSq: _, ...pointers }, i) => ({ length: LENGTHS[i]!, ...pointers }));
    const optimizer = AdamW.createSync(params, { ...OPTIONS, kernel, memory });

    const moves = [places(8192, 64), places(16384, 4), places(24576, 0), places(1024, 0)];
    for (const [step, next] of moves.entries()) {
      LENGTHS.forEach((length, i) => {
        for (const region of ["param", "expAvg", "expAvgSq"] as const) {
          floats(next[i]![region], length).set(floats(at[i]![region], length));
          floats(at[i]![region], length).fill(Number.NaN);
        }
        const gradient = dyadic(length, 10 * step + i);
        floats(next[i]!.grad, length).set(gradient);
        model.at(String(i)).grad.set(gradient);
      });
      optimizer[EXCLUSIVELY](([group]) => group!.relocate(next.map((place) => ({ ...place, copy: -1 }))));
      at = next;
      optimizer.step();
      model.step();
      model.expectSame(optimizer as never, `move ${step}`);
      expectSameBits("param", floats(at[1]!.param, LENGTHS[1]!), model.at("1").param);
    }

    const overlapping = { length: 4, param: at[1]!.param + 4, grad: 40000, expAvg: 40016, expAvgSq: 40032 };
    const error = await caught(() => optimizer.addParamGroup({ params: { x: overlapping } }));
    expectError(error, rangeError("params.x.param", "ERR_OVERLAP"));
    // Where it was created, nothing lies any more.
    optimizer.addParamGroup({ params: { x: { ...overlapping, param: 8192 } } });
    expect(optimizer.names).toEqual(["0", "1", "x"]);
  });
});

it("a group that is added is not compared with every region there is: groups are asked once where they lie, and when they moved", () => {
  const quad = (at: number) => ({ length: 8, param: at, grad: at + 32, expAvg: at + 64, expAvgSq: at + 96 });
  const asked = vi.spyOn(Group.prototype, "spec", "get");
  const memory = new WebAssembly.Memory({ initial: 16 });
  const at = (i: number) => ({ params: { [`p${i}`]: quad(1024 + 128 * i) } });
  const optimizer = AdamW.createSync([at(0), at(1), at(2)], { memory });
  for (let i = 3; i < 503; i++) optimizer.addParamGroup(at(i));
  expect(asked.mock.calls.length).toBe(3);
  expect(() => optimizer.addParamGroup({ params: { x: quad(1024 + 128 * 250) } })).toThrow(RangeError);
  optimizer[EXCLUSIVELY](([, group]) => group!.relocate([group!.tensors[0]!.at]));
  for (let i = 503; i < 603; i++) optimizer.addParamGroup(at(i));
  expect(asked.mock.calls.length).toBe(3 + 503);
  expect([optimizer.names.length, optimizer.paramGroups.length]).toEqual([603, 603]);
  asked.mockRestore();
});
