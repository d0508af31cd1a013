import { type Array as JaxArray, jit, numpy, tree } from "@jax-js/jax";
import { fail } from "../../checks/errors.js";
import { checkCount, checkObject, own } from "../../checks/values.js";
import { CONSTANTS } from "../../kernels/table.js";
import { momentsOf } from "../../memory/regions.js";
import { valueAt } from "../../optimizer/group.js";
import { stepConstants } from "../../optimizer/stepConstants.js";
import {
  type ArrayTree,
  areOnGpu,
  checkFits,
  type Flat,
  failNoParams,
  GPU,
  refuseDevices,
  takeApart,
  Uses,
} from "./leaves.js";
import { decaysOf } from "./mask.js";
import type { Settings } from "./settings.js";
import { type AdamState, FIELDS, readCount } from "./state.js";

export type Mode = "update" | "step";

/** The state before the first step, as ordinary arrays. */
export function initOnDevice(settings: Settings, params: Flat): AdamState {
  refuseDecisions(settings);
  const uses = new Uses(params);
  decaysOf(settings, params);
  const zeros = () => params.leaves.map(({ shape }) => numpy.zeros(shape, { dtype: numpy.float32, device: GPU }));
  const state = stateOf(settings, params, 0, momentsOf(settings.hyper).map(zeros));
  uses.end();
  return state;
}

/** New parameters, or what to add to them, and the next state: jax-js's operations, jitted. */
export function stepOnDevice(
  settings: Settings,
  mode: Mode,
  grads: Flat,
  state: unknown,
  params: Flat | undefined,
): [JaxArray[], AdamState] {
  refuseDecisions(settings);
  const moments = momentsOf(settings.hyper);
  const object = checkObject("state", state, ["count", ...moments.map(({ name }) => FIELDS[name])]);
  const count = takeApart("state.count", own(object, "count"));
  refuseDevices(count);
  const trees = moments.map(({ name }) => takeApart(`state.${FIELDS[name]}`, own(object, FIELDS[name])));
  for (const moment of trees) checkFits(grads, moment);
  areOnGpu(grads, ...trees);
  const decays = decaysOf(settings, params ?? grads);
  if (params === undefined && decays.includes(true)) failNoParams();
  const uses = new Uses(grads, ...(params === undefined ? [] : [params]), count, ...trees);

  const step = checkCount("state.count", readCount(count)) + 1;
  const { hyper } = settings;
  const lr = valueAt(hyper.lr, "lr", step);
  // A row for leaves that decay, and one for those that do not.
  const rows = [valueAt(hyper.weightDecay, "weightDecay", step), 0].map((weightDecay) => {
    const row = new Float32Array(CONSTANTS.length);
    stepConstants(row, hyper, settings.variant.coupled, lr, weightDecay, step, hyper.maximize ? -1 : 1);
    return [...row];
  });
  const constants = numpy.array(rows, { dtype: numpy.float32, device: GPU });
  const lists = [grads, ...(params === undefined ? [] : [params]), ...trees].map(({ leaves }) =>
    leaves.map(({ ref }) => ref),
  );
  const run = stepperFor(settings, mode, decays, params !== undefined);
  const [results, ...news] = run(lists, constants);
  uses.end();
  return [results!, stateOf(settings, grads, step, news)];
}

/** A step that the device had to skip would need its outcome on the host, which counts steps and forms their constants. */
function refuseDecisions({ step: { clipNorm, skipNonFinite } }: Settings): void {
  const label = clipNorm !== undefined ? "clipNorm" : skipNonFinite ? "skipNonFinite" : undefined;
  if (label !== undefined) {
    fail(Error, "ERR_BACKEND", label, 'arrays on cpu or wasm (await devicePut(array, "wasm"))', `arrays on ${GPU}`);
  }
}

/** The count lies on the cpu, because the host forms the constants from it. */
function stateOf(settings: Settings, { def }: Flat, count: number, moments: readonly JaxArray[][]): AdamState {
  const fields = momentsOf(settings.hyper).map(({ name }, i) => [FIELDS[name], tree.unflatten(def, moments[i]!)]);
  const scalar = numpy.array(count, { dtype: numpy.uint32, device: "cpu" });
  return { count: scalar, ...(Object.fromEntries(fields) as { mu: ArrayTree; nu: ArrayTree }) };
}

type Stepper = (lists: JaxArray[][], constants: JaxArray) => JaxArray[][];
const steppers = new WeakMap<Settings, Map<string, Stepper>>();

function stepperFor(settings: Settings, mode: Mode, decays: readonly boolean[], hasParams: boolean): Stepper {
  const known = steppers.get(settings) ?? new Map<string, Stepper>();
  steppers.set(settings, known);
  const key = `${mode} ${hasParams} ${decays}`;
  const stepper =
    known.get(key) ?? (jit(makeStepper(settings, mode, decays, hasParams) as never) as unknown as Stepper);
  known.set(key, stepper);
  return stepper;
}

/** assembly/adam.ts as jax-js's operations, each of which uses up what it is called on and with. */
function makeStepper({ variant }: Settings, mode: Mode, decays: readonly boolean[], hasParams: boolean): Stepper {
  return (lists, constants) => {
    const [grads, ...rest] = lists;
    const params = hasParams ? rest.shift()! : undefined;
    const [mu, nu, most] = rest;
    const results = grads!.map((grad, i) => {
      const decay = decays[i]!;
      const constant = (name: (typeof CONSTANTS)[number]) =>
        constants.ref.slice(decay ? 0 : 1, CONSTANTS.indexOf(name));
      const param = params?.[i];
      let g = grad.mul(constant("gradFactor"));
      if (variant.coupled && decay) g = g.add(constant("decay").mul(param!.ref));
      const m = mu![i]!.mul(constant("beta1")).add(g.ref.mul(constant("oneMinusBeta1")));
      const v = nu![i]!.mul(constant("beta2")).add(constant("oneMinusBeta2").mul(g.ref).mul(g));
      const a = most === undefined ? v.ref : numpy.maximum(most[i]!, v.ref);
      const change = constant("stepSize")
        .mul(m.ref)
        .div(numpy.sqrt(a.ref).mul(constant("rsqrtBiasCorrection2")).add(constant("eps")));
      let result: JaxArray;
      if (mode === "update" && !decay) {
        param?.dispose();
        result = change.neg();
      } else {
        const decayed = variant.coupled || !decay ? param!.ref : param!.ref.mul(constant("decay"));
        result = decayed.sub(change);
        if (mode === "update") result = result.sub(param!);
        else param!.dispose();
      }
      const moments = most === undefined ? [m, v] : [m, v, a.ref];
      a.dispose();
      return [result, ...moments];
    });
    constants.dispose();
    return results[0]!.map((_, list) => results.map((leaf) => leaf[list]!));
  };
}
