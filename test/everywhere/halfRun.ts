/** As longRun.ts, of groups whose numbers have 16 bits: every choice of formats, past three flushes, alone and on threads. */
import { AdamW, type RuntimeOptions } from "fused-adam";
import { type ReferenceState, referenceStep } from "../reference.js";
import { nearestPattern, VALUES } from "../support/halves.js";
import { dyadic } from "../support/model.js";

const STEPS = 100;
/** One step in so many has enough elements to be shared among threads. */
const LARGE_EVERY = 33;
const OPTIONS = { lr: 0.02, betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.05, biasCorrection: true } as const;

interface Formats {
  readonly moments: "float32" | "bfloat16";
  readonly grads: "float32" | "float16" | "bfloat16";
  readonly copies: "float16" | "bfloat16" | undefined;
  readonly amsgrad: boolean;
}
const CHOICES: readonly Formats[] = (["float32", "bfloat16"] as const).flatMap((moments, i) =>
  (["float32", "float16", "bfloat16"] as const).map((grads, j) => {
    const copies = [undefined, "float16", "bfloat16"] as const;
    return { moments, grads, copies: copies[(i + j) % 3], amsgrad: (i + j) % 2 === 1 };
  }),
);
const LENGTHS = { a: 37, b: 242, e: 11_000 };

interface Param extends Formats {
  readonly name: string;
  readonly values: Float32Array;
}
const PARAMS: readonly Param[] = CHOICES.flatMap((formats, i) =>
  Object.entries(LENGTHS).map(([name, length], j) => ({
    ...formats,
    name: name + i,
    values: dyadic(length, 8 * i + j),
  })),
);
/** Their values are the same in both formats of 16 bits and in float32. */
const POOL = Array.from({ length: 13 }, (_, i) => dyadic(12_000 + i, 500 + i));
const PATTERNS = {
  float16: POOL.map((values) => Uint16Array.from(values, (x) => nearestPattern("float16", x))),
  bfloat16: POOL.map((values) => Uint16Array.from(values, (x) => nearestPattern("bfloat16", x))),
};

const isSkipped = ({ name }: Param, t: number) => name.startsWith("e") && t % LARGE_EVERY !== 0;

/** SHA-256 of what is left: digest-reference.test.ts has it from the float32 reference. */
export const HALF_DIGEST = "bd6e55885410023ba4aecc4a42cfb7cd8ccadccc0f77d3a2da970f2d60b2d670";

type Parts = (Float32Array | Float64Array)[];
const asFloats = (copies: "float16" | "bfloat16", bits: Uint16Array) =>
  Float32Array.from(bits, (pattern) => VALUES[copies][pattern]!);

export async function halfRun(runtime: RuntimeOptions, how: "step" | "stepAsync"): Promise<Parts> {
  const groups = CHOICES.map((formats, i) => {
    const own = PARAMS.slice(3 * i, 3 * i + 3);
    return { ...formats, params: Object.fromEntries(own.map(({ name, values }) => [name, values])) };
  });
  const optimizer = await AdamW.create(groups, { ...OPTIONS, ...runtime });
  for (let t = 0; t < STEPS; t++) {
    PARAMS.forEach(({ name, grads, values }, i) => {
      const at = (t + 5 * i) % POOL.length;
      const given = grads === "float32" ? POOL[at]! : PATTERNS[grads][at]!;
      optimizer.setGrad(name, given.subarray(i, i + values.length));
    });
    const skip = PARAMS.filter((param) => isSkipped(param, t)).map(({ name }) => name);
    await optimizer[how]({ skip, gradScale: 4 });
  }
  const { state } = optimizer.stateDict();
  const parts = PARAMS.flatMap(({ name, copies }) => {
    const { exp_avg, exp_avg_sq, max_exp_avg_sq = new Float32Array() } = state[name]!;
    const copy = copies === undefined ? [] : [asFloats(copies, optimizer.copyBits(name))];
    return [optimizer.param(name).slice(), exp_avg, exp_avg_sq, max_exp_avg_sq, ...copy];
  });
  optimizer.dispose();
  return parts;
}

/** The same by the reference. */
export function halfReference(): Parts {
  return PARAMS.flatMap((param, i) => {
    const { values, grads, moments, amsgrad, copies } = param;
    const zeros = () => new Float32Array(values.length);
    const state: ReferenceState = {
      ...{ param: values.slice(), grad: zeros(), expAvg: zeros(), expAvgSq: zeros(), maxExpAvgSq: zeros(), step: 0 },
    };
    for (let t = 0; t < STEPS; t++) {
      if (isSkipped(param, t)) continue;
      const at = (t + 5 * i) % POOL.length;
      const whole = grads === "float32" ? POOL[at]! : asFloats(grads, PATTERNS[grads][at]!);
      state.grad = whole.slice(i, i + values.length);
      referenceStep(state, { ...OPTIONS, mode: "adamw", amsgrad, maximize: false, moments }, 1 / 4);
    }
    const copy =
      copies === undefined
        ? []
        : [
            asFloats(
              copies,
              Uint16Array.from(state.param, (x) => nearestPattern(copies, x)),
            ),
          ];
    return [state.param, state.expAvg, state.expAvgSq, amsgrad ? state.maxExpAvgSq : new Float32Array(), ...copy];
  });
}
