/** Calls at the wrong time: within other calls, and after dispose. */
import { runInNewContext } from "node:vm";
import { AdamW, type LiveGroup, type StateDict } from "fused-adam";
import { describe, expect, it } from "vitest";
import { EXCLUSIVELY, type Optimizer as Internal } from "../../src/optimizer/optimizer.js";
import { caught, DISPOSE, expectError, sample, stateError, Twins, typeError, wrong } from "../support/api.js";
import { dyadic, type Optimizer } from "../support/model.js";

const busy = stateError("optimizer", "ERR_BUSY");
const disposed = stateError("optimizer", "ERR_DISPOSED");

describe("calls within calls", () => {
  const CALLS: Record<string, (victim: Optimizer) => unknown> = {
    step: (victim) => victim.step(),
    "step with options that are wrong": (victim) => victim.step({ clipNorm: NaN }),
    stepAsync: (victim) => victim.stepAsync(),
    zeroGrad: (victim) => victim.zeroGrad(),
    setGrad: (victim) => victim.setGrad("a", new Float32Array(5)),
    sumOfSquares: (victim) => victim.sumOfSquares(),
    stateDict: (victim) => victim.stateDict(),
    addParamGroup: (victim) => victim.addParamGroup({ params: { e: dyadic(50000, 1) } }),
    loadStateDict: (victim) => victim.loadStateDict(victim.stateDict()),
    dispose: (victim) => victim.dispose(),
    "Symbol.dispose": (victim) => victim[DISPOSE](),
    "assigning lr": (victim) => {
      victim.paramGroups[0]!.lr = 5;
    },
    "assigning betas": (victim) => {
      victim.paramGroups[2]!.betas = [0, 0];
    },
    "assigning maximize": (victim) => {
      victim.paramGroups[1]!.maximize = false;
    },
  };

  /** Places where the caller's code runs during a call, which then goes on as if nothing had been tried. */
  const PLACES: Record<string, (optimizer: Optimizer, meanwhile: () => void) => unknown> = {
    "a schedule": (optimizer, meanwhile) => {
      const group = optimizer.paramGroups[2]!;
      const { lr } = group;
      let calls = 0;
      group.lr = () => {
        // Once, in the step: the state dict asks for the value as well.
        if (calls++ === 0) meanwhile();
        return 0.25;
      };
      optimizer.step();
      group.lr = lr;
    },
    "a skip iterable": (optimizer, meanwhile) => {
      function* names(): Iterable<string> {
        yield "b";
        meanwhile();
        yield "c";
      }
      optimizer.step({ skip: names() });
    },
    "a getter of step options": (optimizer, meanwhile) => {
      const options = {
        get gradScale() {
          meanwhile();
          return 4;
        },
      };
      optimizer.step(options);
    },
    "a getter of sumOfSquares' options": (optimizer, meanwhile) => {
      const options = {
        get skip() {
          meanwhile();
          return ["a"];
        },
      };
      optimizer.sumOfSquares(options);
    },
    "a getter of a state dict": (optimizer, meanwhile) => {
      const dict = optimizer.stateDict();
      const { a } = dict.state;
      Object.defineProperty(dict.state, "a", {
        enumerable: true,
        get: () => {
          meanwhile();
          return a;
        },
      });
      dict.param_groups[0]!.lr = 0.75;
      optimizer.loadStateDict(dict);
    },
    "a getter of a group": (optimizer, meanwhile) => {
      const params = { [`late${optimizer.names.length}`]: dyadic(3, 1) };
      const group = {
        get params() {
          meanwhile();
          return params;
        },
      };
      optimizer.addParamGroup(group);
    },
  };

  it.each(Object.keys(PLACES))(
    "within %s every change is refused, and the outer call is none the wiser",
    async (place) => {
      const twins = new Twins(sample);
      for (const [what, call] of Object.entries(CALLS)) {
        const errors: unknown[] = [];
        const meanwhile = () => {
          const outcome = caught(() => call(twins.victim), what).catch((error: unknown) => error);
          errors.push(outcome);
        };
        PLACES[place]!(twins.victim, meanwhile);
        PLACES[place]!(twins.twin, () => {});
        expect(errors.length, what).toBe(1);
        expectError(await errors[0], busy, what);
        twins.step();
      }
    },
  );

  it("an error that is not caught fails the outer call too, and changes nothing", async () => {
    const twins = new Twins(sample);
    function* names(): Iterable<string> {
      yield "a";
      twins.victim.step();
    }
    await twins.refuses((victim) => victim.step({ zeroGrad: true, skip: names() }), busy);
    const dict = twins.victim.stateDict();
    dict.state.a!.step = 77;
    Object.defineProperty(dict.state, "d", { enumerable: true, get: () => twins.victim.step() });
    await twins.refuses((victim) => victim.loadStateDict(dict), busy);
    const group = {
      get params(): never {
        return twins.victim.step() as never;
      },
    };
    await twins.refuses((victim) => victim.addParamGroup(group), busy);
  });

  it("another optimizer is another matter", () => {
    const inner = AdamW.createSync([dyadic(2, 1)]);
    const outer = AdamW.createSync([dyadic(2, 1)], { lr: () => inner.step().step });
    expect(outer.step()).toEqual({ step: 1, skipped: false });
    expect(inner.stateDict().state["0"]!.step).toBe(1);
  });
});

describe("after dispose", () => {
  const CALLS: Record<string, (optimizer: Optimizer, group: LiveGroup, state: StateDict) => unknown> = {
    param: (optimizer) => optimizer.param("a"),
    "param of an unknown name": (optimizer) => optimizer.param("nothing"),
    grad: (optimizer) => optimizer.grad("a"),
    step: (optimizer) => optimizer.step(),
    "step with options that are wrong": (optimizer) => optimizer.step({ clipNorm: -1 }),
    stepAsync: (optimizer) => optimizer.stepAsync(),
    zeroGrad: (optimizer) => optimizer.zeroGrad(),
    setGrad: (optimizer) => optimizer.setGrad("a", new Float32Array(5)),
    "setGrad of nothing": (optimizer) => optimizer.setGrad(wrong(0), wrong(0)),
    sumOfSquares: (optimizer) => optimizer.sumOfSquares(),
    "sumOfSquares with options that are wrong": (optimizer) => optimizer.sumOfSquares({ gradScale: -1 }),
    steps: (optimizer) => optimizer.steps,
    stateDict: (optimizer) => optimizer.stateDict(),
    loadStateDict: (optimizer, _, state) => optimizer.loadStateDict(state),
    "loadStateDict of nothing": (optimizer) => optimizer.loadStateDict(wrong(null)),
    addParamGroup: (optimizer) => optimizer.addParamGroup({ params: [dyadic(3, 1)] }),
    paramGroups: (optimizer) => optimizer.paramGroups,
    memory: (optimizer) => optimizer.memory,
    ...Object.fromEntries(
      Object.entries({ lr: 1, betas: [0, 0], eps: 1, weightDecay: 1, maximize: true, biasCorrection: false }).map(
        ([key, value]) => [
          `assigning ${key} of a kept group`,
          (_: Optimizer, group: LiveGroup) => Object.assign(group, { [key]: value }),
        ],
      ),
    ),
  };

  it.each(Object.entries(CALLS))("%s says so", async (what, call) => {
    for (const method of ["dispose", DISPOSE] as const) {
      const optimizer = sample();
      const [state, group] = [optimizer.stateDict(), optimizer.paramGroups[0]!];
      optimizer[method]();
      expectError(await caught(() => call(optimizer, group, state), what), disposed, what);
      optimizer[method]();
      expectError(await caught(() => call(optimizer, group, state), what), disposed, what);
    }
  });
});

it("a call that waits for a promise of another realm, or of a library, is under way until that settles", async () => {
  const optimizer = sample();
  for (const end of ["resolve", "reject"]) {
    const [promise, settle] = runInNewContext(`let settle; [new Promise((...ends) => { settle = ends; }), settle]`) as [
      Promise<string>,
      ((value: unknown) => void)[],
    ];
    expect(promise instanceof Promise).toBe(false);
    const result = (optimizer as unknown as Internal)[EXCLUSIVELY](() => promise);
    expectError(await caught(() => optimizer.step()), busy);
    settle[end === "resolve" ? 0 : 1]!("the end");
    expect(await result.catch((error: unknown) => `${error} by error`)).toBe(
      end === "resolve" ? "the end" : "the end by error",
    );
    optimizer.step();
  }
  expect(optimizer.steps).toBe(2);
});

it("an optimizer is made by create or createSync, not by new", async () => {
  for (const args of [[], [{}], [{ w: dyadic(3, 1) }, { lr: 1 }]]) {
    const error = await caught(() => Reflect.construct(AdamW, args));
    expectError(error, typeError("new"));
  }
});
