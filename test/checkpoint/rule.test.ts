/** Which rule made a state: it is told in state dicts, files and PyTorch's layout, and does not load into the other. */
import { Adam, AdamW, type StateDict } from "fused-adam";
import { encodeCheckpoint, fromTorch, loadCheckpoint, toTorch } from "fused-adam/checkpoint";
import { describe, expect, test } from "vitest";
import { expectSamePrint, fingerprint } from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";
import { edited, stepped, typedError } from "./support.js";

const make = {
  Adam: (weightDecay: number) => Adam.createSync({ w: dyadic(5, 1), b: dyadic(2, 2) }, { weightDecay }),
  AdamW: (weightDecay: number) => AdamW.createSync({ w: dyadic(5, 1), b: dyadic(2, 2) }, { weightDecay }),
};
type Kind = keyof typeof make;

/** Every way from one optimizer to another. */
const ways: Record<string, (from: Optimizer, to: Optimizer) => void> = {
  "a state dict": (from, to) => to.loadStateDict(from.stateDict()),
  "a checkpoint": (from, to) => loadCheckpoint(to, encodeCheckpoint(from)),
  "PyTorch's layout": (from, to) => to.loadStateDict(fromTorch(toTorch(from.stateDict(), from.names), to.names)),
};

describe.each(Object.entries(ways))("%s", (_, way) => {
  test.each([
    ["Adam", "AdamW"],
    ["AdamW", "Adam"],
  ] as [Kind, Kind][])("of %s with weight decay does not load into %s, and nothing changes", (there, here) => {
    const from = stepped(make[there](0.1));
    for (const weightDecay of [0, 0.1]) {
      const to = stepped(make[here](weightDecay), 2);
      const before = fingerprint(to);
      expect(typedError(() => way(from, to))).toEqual({
        name: "RangeError",
        code: "ERR_STATE_MISMATCH",
        message: `"param_groups[0].decoupled_weight_decay": expected ${here === "AdamW"}, this optimizer's, got ${there === "AdamW"}`,
      });
      expectSamePrint(fingerprint(to), before);
    }
  });

  test("without weight decay both rules are the same, and both go on to the same bits", () => {
    for (const zero of [0, -0]) {
      const [from, to] = [stepped(make.Adam(zero)), make.AdamW(0.5)];
      way(from, to);
      for (const name of from.names) to.param(name).set(from.param(name));
      for (const optimizer of [from, to]) stepped(optimizer, 4);
      for (const name of from.names) expect(to.param(name)).toEqual(from.param(name));
      expect(to.stateDict().param_groups[0]!.decoupled_weight_decay).toBe(true);
    }
  });

  test("its own loads", () => {
    for (const kind of Object.keys(make) as Kind[]) {
      const [from, to] = [stepped(make[kind](0.1)), make[kind](0.2)];
      way(from, to);
      expect(to.stateDict()).toEqual(from.stateDict());
    }
  });
});

test("a state that does not say loads into both", () => {
  for (const kind of Object.keys(make) as Kind[]) {
    const { state, param_groups } = stepped(make.Adam(0.1)).stateDict();
    const silent = param_groups.map(({ decoupled_weight_decay, ...group }) => group);
    const torch = toTorch({ state, param_groups: silent } as StateDict, ["w", "b"]);
    expect(torch.param_groups[0]).not.toHaveProperty("decoupled_weight_decay");
    for (const dict of [{ state, param_groups: silent } as StateDict, fromTorch(torch, ["w", "b"])]) {
      const to = make[kind](0.2);
      to.loadStateDict(dict);
      expect(to.stateDict().state).toEqual(state);
      expect(to.paramGroups[0]!.weightDecay).toBe(0.1);
    }
  }
});

/** Written before version 2: AdamW, lr 0.001, weight decay 0.5, w = [1, -2], gradient [0.5, 4], one step. */
const VERSION_1 =
  "2AEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJjaGVja3N1bSI6Inh4aDMyOjEwN2JkMTZlIiwiZm9ybWF0IjoiZnVzZWQtYWRhbSIsInZlcnNpb24iOiIx" +
  "Iiwia2VybmVsIjoic2ltZCIsInN0ZXBzIjoie1wid1wiOjF9IiwicGFyYW1fZ3JvdXBzIjoiW3tcImxyXCI6MC4wMDEsXCJiZXRhc1wiOlswLjksMC45" +
  "OTldLFwiZXBzXCI6MWUtOCxcIndlaWdodF9kZWNheVwiOjAuNSxcImFtc2dyYWRcIjpmYWxzZSxcIm1heGltaXplXCI6ZmFsc2UsXCJiaWFzX2NvcnJl" +
  "Y3Rpb25cIjp0cnVlLFwicGFyYW1zXCI6W1wid1wiXX1dIn0sInciOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlswLDhd" +
  "fSwidy5leHBfYXZnIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbOCwxNl19LCJ3LmV4cF9hdmdfc3EiOnsiZHR5cGUi" +
  "OiJGMzIiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlsxNiwyNF19fSAgsp1/PwAAAMDNzEw9zczMPm8SgzlvEoM8";

test("files of version 1, which do not say, load into both", () => {
  for (const Optimizer of [Adam, AdamW]) {
    const to = Optimizer.createSync({ w: new Float32Array(2) });
    loadCheckpoint(to, Uint8Array.from(Buffer.from(VERSION_1, "base64")));
    expect([...to.param("w")]).toEqual([Math.fround(0.9985), -2]);
    expect(to.stateDict().state.w).toEqual({
      step: 1,
      exp_avg: Float32Array.of(0.05, 0.4),
      exp_avg_sq: Float32Array.of(0.00025, 0.016),
    });
    expect(to.paramGroups[0]).toMatchObject({ lr: 0.001, weightDecay: 0.5 });
  }
});

test("in a file, a group with the other rule among groups with the right one", () => {
  const groups = () => AdamW.createSync([{ params: { a: dyadic(1, 1) } }, { params: { b: dyadic(1, 2) } }]);
  const bytes = edited(groups(), ({ __metadata__ }) => {
    const at = __metadata__.param_groups.lastIndexOf("true");
    __metadata__.param_groups = `${__metadata__.param_groups.slice(0, at)}false${__metadata__.param_groups.slice(at + 4)}`;
  });
  expect(typedError(() => loadCheckpoint(groups(), bytes))?.message).toMatch(
    /^"param_groups\[1\]\.decoupled_weight_decay"/,
  );
});
