import { checkFinite, checkFloat32Array } from "../checks/arrays.js";
import { type Hyper, LOAD_DEFAULTS, type LoadSettings } from "../checks/defaults.js";
import { fail, failMismatch, failType, show, showNames, showShape } from "../checks/errors.js";
import { ADAM_KEYS, CHECKS, type HyperKey } from "../checks/hyper.js";
import type { GroupState, LoadReport, ParamState, StateDict } from "../checks/types.js";
import {
  addName,
  type Checks,
  checkArray,
  checkBoolean,
  checkCount,
  checkCounts,
  checkNonNegative,
  checkObject,
  checkRecord,
  optionsReader,
  own,
} from "../checks/values.js";
import { MOMENT_KEYS, type Moment } from "../memory/regions.js";
import { isShared } from "../memory/shared.js";
import type { Group } from "./group.js";
import type { Tensor } from "./tensor.js";

/** PyTorch's names of the hyper-parameters are ours in snake case. */
function snake(key: HyperKey): keyof GroupState {
  return key.replace(/[A-Z]/, (capital) => `_${capital.toLowerCase()}`) as keyof GroupState;
}

/** Which rule made the state: the optimizer's, not one of the hyper-parameters. */
const RULE = "decoupled_weight_decay" satisfies keyof GroupState;

/** Copies of everything a resumed run needs. */
export function readState(groups: readonly Group[]): StateDict {
  const entries = groups.flatMap(({ tensors, moments }) =>
    tensors.map((tensor) => {
      const { step, part } = tensor;
      const entry = { step } as ParamState;
      if (part.length > 0) entry.rows = part as [number, number];
      for (const { name, key } of moments) entry[key] = tensor.read(name);
      return [tensor.name, entry] as const;
    }),
  );
  // `fromEntries` does not assign: a parameter may be called "__proto__".
  return { state: Object.fromEntries(entries), param_groups: groups.map(readGroupState) };
}

/** A group's hyper-parameters and the names of its parameters. */
export function readGroupState(group: Group): GroupState {
  const entries = ADAM_KEYS.map((key) => [snake(key), group.hyper[key]]);
  return {
    ...(Object.fromEntries(entries) as GroupState),
    lr: group.current("lr"),
    weight_decay: group.current("weightDecay"),
    betas: [...group.hyper.betas],
    decoupled_weight_decay: !group.coupled,
    params: group.tensors.map(({ name }) => name),
  };
}

const LOAD_CHECKS: Checks<LoadSettings> = { partial: checkBoolean, keepOptions: checkBoolean };

export const readLoad = optionsReader(LOAD_CHECKS, LOAD_DEFAULTS);

/** A state that has been checked. */
export interface CheckedState {
  /** What `apply` takes over. */
  readonly report: LoadReport;
  apply(): void;
}

/** What a state dict has of one parameter: no values if it was never stepped. */
interface Entry {
  readonly tensor: Tensor;
  readonly step: number;
  readonly values: Values[];
}

interface Values {
  readonly label: string;
  readonly moment: Moment;
  values: Float32Array;
}

/**
 * Checks a state dict against the groups, by name. Whatever is wrong throws here. Every property is read once, and the contents of
 * arrays only after all properties: what is applied is what was checked, even if a getter runs the caller's code.
 *
 * @param misshapen parameters that a partial load leaves out, though as many values are there as they have
 */
export function checkState(
  groups: readonly Group[],
  dict: unknown,
  settings: LoadSettings,
  misshapen?: ReadonlySet<string>,
): CheckedState {
  const { partial } = settings;
  const object = checkObject("state_dict", dict, ["state", "param_groups"]);
  const actions = checkGroups(groups, own(object, "param_groups"), settings);

  const state = checkRecord("state", own(object, "state"));
  const names = Object.keys(state);
  const tensors = tensorsOf(groups);
  if (!partial) checkNames("state", [...tensors.keys()], names);
  const unexpected = names.filter((name) => !tensors.has(name));
  const report: LoadReport = { loaded: [], missing: [], unexpected, mismatched: [], params: false };
  const entries = groups.flatMap((group) =>
    group.tensors.map((tensor) => readEntry(group, tensor, own(state, tensor.name), partial)),
  );
  for (const { tensor, step, values } of entries) {
    const { name } = tensor;
    const wrong = values.filter((each) => !checkValues(each, tensor, partial));
    const kind = !values.length ? "missing" : wrong.length || misshapen?.has(name) ? "mismatched" : "loaded";
    report[kind].push(name);
    if (kind !== "loaded") values.length = 0;
    actions.push(() => {
      tensor.step = values.length && step;
      for (const { role, name } of tensor.regions) {
        if (role === "moment" && !values.length) tensor.array(name)!.fill(0);
      }
      for (const { moment, values: from } of values) tensor.write(moment.name, from);
    });
  }
  return {
    report,
    apply() {
      for (const action of actions) action();
    },
  };
}

/** By name. */
export function tensorsOf(groups: readonly Group[]): ReadonlyMap<string, Tensor> {
  return new Map(groups.flatMap(({ tensors }) => tensors.map((tensor) => [tensor.name, tensor])));
}

/** Checks that a state is of the expected parameters: no other, and none missing. */
export function checkNames(label: string, expected: readonly string[], names: Iterable<string>): void {
  const got = new Set(names);
  if (got.size === expected.length && expected.every((name) => got.has(name))) return;
  failMismatch(label, `the parameters ${showNames(expected)}`, showNames(got));
}

function readEntry(group: Group, tensor: Tensor, value: unknown, partial: boolean): Entry {
  if (value === undefined && partial) return { tensor, step: 0, values: [] };
  const prefix = `state.${tensor.name}`;
  const entry = checkObject(prefix, value, ["step", "rows", ...MOMENT_KEYS]);
  const step = checkCount(`${prefix}.step`, own(entry, "step"));
  checkRows(`${prefix}.rows`, tensor.part, own(entry, "rows"));
  const given = MOMENT_KEYS.map((key) => [key, own(entry, key)] as const);
  const isEmpty = step === 0 && given.every(([, values]) => values === undefined);
  const values = given.flatMap(([key, value]) => {
    const label = `${prefix}.${key}`;
    const moment = group.moments.find((moment) => moment.key === key);
    if (moment !== undefined && !isEmpty) return { label, moment, values: checkFloat32Array(label, value) };
    return value === undefined ? [] : failMismatch(label, "none, because amsgrad is off", "values");
  });
  return { tensor, step, values };
}

/** The state of one part of a tensor fits no other, even if that is as long. */
function checkRows(label: string, rows: readonly number[], value: unknown = []): void {
  const got = showShape(checkCounts(label, value));
  if (got !== showShape(rows)) failMismatch(label, showShape(rows), got);
}

/** @returns false for another length, where the load is partial */
function checkValues(incoming: Values, { memory, length }: Tensor, partial: boolean): boolean {
  const { label, moment, values } = incoming;
  // Values in the memory that will be written, and values that another thread can change, are copied before they are checked.
  if (values.buffer === memory.buffer || isShared(values)) incoming.values = values.slice();
  const fits = values.length === length;
  if (!fits && !partial) fail(RangeError, "ERR_SHAPE_MISMATCH", label, `${length} values`, String(values.length));
  checkFinite(label, incoming.values, moment.signed);
  return fits;
}

/** Every group of the dict must have the same parameters as one of the optimizer's; the order of both may differ. */
function checkGroups(groups: readonly Group[], value: unknown, settings: LoadSettings): (() => void)[] {
  const { partial } = settings;
  const entries = checkArray("param_groups", value, "an array");
  if (entries.length !== groups.length && !partial) {
    failMismatch("param_groups", `${groups.length} groups`, String(entries.length));
  }
  const unmatched = new Set(groups);
  return entries.map((entry, i) => {
    const label = `param_groups[${i}]`;
    const object = checkObject(label, entry, [...ADAM_KEYS.map(snake), RULE, "params"]);
    const names = new Set<string>();
    checkArray(`${label}.params`, own(object, "params"), "an array of names").forEach((name, j) => {
      if (typeof name === "number")
        failType(`${label}.params[${j}]`, "a name (fromTorch gives PyTorch's states names)", name);
      if (typeof name !== "string") failType(`${label}.params[${j}]`, "a name", name);
      addName(`${label}.params`, names, name);
    });
    const group = groups.find(
      ({ tensors }) => tensors.length === names.size && tensors.every(({ name }) => names.has(name)),
    );
    if (group === undefined ? !partial : !unmatched.delete(group)) {
      failMismatch(`${label}.params`, "the parameters of one of the optimizer's groups", show([...names].join(", ")));
    }
    return checkGroup(label, object, group, groups[0]!.coupled, settings);
  });
}

/** @param group the optimizer's with the same parameters; undefined, where the load is partial, if it has none */
function checkGroup(
  label: string,
  object: object,
  group: Group | undefined,
  coupled: boolean,
  { keepOptions }: LoadSettings,
): () => void {
  const read = (key: HyperKey) => [key, CHECKS[key](`${label}.${snake(key)}`, own(object, snake(key)))];
  const hyper = Object.fromEntries(ADAM_KEYS.map(read)) as Hyper;
  const lr = checkNonNegative(`${label}.lr`, hyper.lr);
  const weightDecay = checkNonNegative(`${label}.weight_decay`, hyper.weightDecay);
  // A state that was saved before it said so goes where it is loaded.
  const rule = own(object, RULE);
  if (rule !== undefined && checkBoolean(`${label}.${RULE}`, rule) === coupled && weightDecay > 0) {
    failMismatch(`${label}.${RULE}`, `${!coupled}, this optimizer's`, String(rule));
  }
  if (group === undefined) return () => {};
  if (hyper.amsgrad !== group.hyper.amsgrad) {
    failMismatch(`${label}.amsgrad`, `${!hyper.amsgrad}, fixed when the group was made`, String(hyper.amsgrad));
  }
  return () => {
    // A schedule is kept: the dict has the value that it last gave.
    const keeps = (key: keyof Hyper) => keepOptions || typeof group.hyper[key] === "function";
    for (const key of ADAM_KEYS) if (!keeps(key)) Object.assign(group.hyper, { [key]: hyper[key] });
    // What is the optimizer's own was not used last, as far as is known.
    group.lastLr = keepOptions ? Number.NaN : lr;
    group.lastWeightDecay = keepOptions ? Number.NaN : weightDecay;
  };
}
