import { checkFinite, checkFloat32Array } from "../checks/arrays.js";
import { bare } from "../checks/builtins.js";
import type { Hyper } from "../checks/defaults.js";
import { fail, failMismatch, failType, show, showNames, showShape } from "../checks/errors.js";
import { ADAM_KEYS, CHECKS } from "../checks/hyper.js";
import type { GroupState, ParamState, StateDict } from "../checks/types.js";
import {
  addName,
  checkArray,
  checkBoolean,
  checkCount,
  checkCounts,
  checkNonNegative,
  checkObject,
  checkRecord,
  own,
} from "../checks/values.js";
import { MOMENT_KEYS, type Moment } from "../memory/regions.js";
import { isShared } from "../memory/shared.js";
import type { Group } from "./group.js";
import type { Tensor } from "./tensor.js";

/** Our name of each hyper-parameter, and PyTorch's. */
const GROUP_KEYS = {
  lr: "lr",
  betas: "betas",
  eps: "eps",
  weightDecay: "weight_decay",
  amsgrad: "amsgrad",
  maximize: "maximize",
  biasCorrection: "bias_correction",
} as const satisfies Record<keyof Hyper, keyof GroupState>;

/** Which rule made the state: the optimizer's, not one of the hyper-parameters. */
const RULE = "decoupled_weight_decay" satisfies keyof GroupState;

/** Copies of everything a resumed run needs. */
export function readState(groups: readonly Group[]): StateDict {
  const state: Record<string, ParamState> = {};
  for (const group of groups) {
    for (const tensor of group.tensors) {
      const entry = { step: tensor.step } as ParamState;
      const { part } = tensor;
      if (part.length > 0) entry.rows = part as [number, number];
      for (const { name, key } of group.moments) entry[key] = tensor.view(name).slice();
      // Not by assignment: a parameter may be called "__proto__".
      Object.defineProperty(
        state,
        tensor.name,
        bare({ value: entry, enumerable: true, configurable: true, writable: true }),
      );
    }
  }
  return { state, param_groups: groups.map(readGroupState) };
}

/** A group's hyper-parameters and the names of its parameters. */
export function readGroupState(group: Group): GroupState {
  const entries = ADAM_KEYS.map((key) => [GROUP_KEYS[key], group.hyper[key]]);
  return {
    ...(Object.fromEntries(entries) as GroupState),
    lr: group.currentLr(),
    betas: [...group.hyper.betas],
    decoupled_weight_decay: !group.coupled,
    params: group.tensors.map(({ name }) => name),
  };
}

/** Values of a state dict for one region of a tensor. */
interface Incoming {
  readonly tensor: Tensor;
  readonly label: string;
  readonly moment: Moment;
  readonly values: Float32Array;
}

/**
 * Checks a state dict against the groups, by name, and returns the function that applies it. Whatever is wrong throws here.
 * Every property is read once, and the contents of arrays only after all properties: what is applied is what was checked, even if
 * a getter runs the caller's code.
 */
export function checkState(groups: readonly Group[], dict: unknown): () => void {
  const object = checkObject("state_dict", dict, ["state", "param_groups"]);
  const applyGroups = checkGroups(groups, own(object, "param_groups"));

  const state = checkRecord("state", own(object, "state"));
  checkNames("state", groups, Object.keys(state));
  const steps = new Map<Tensor, number>();
  const incoming = groups.flatMap((group) =>
    group.tensors.flatMap((tensor) => readEntry(group, tensor, own(state, tensor.name), steps)),
  );
  const checked = incoming.map(checkValues);
  return () => {
    for (const apply of applyGroups) apply();
    for (const [tensor, step] of steps) tensor.step = step;
    for (const { tensor, moment, values } of checked) tensor.view(moment.name).set(values);
  };
}

/** Checks that a state is of the groups' parameters: no other, and none missing. */
export function checkNames(label: string, groups: readonly Group[], names: Iterable<string>): void {
  const expected = groups.flatMap(({ tensors }) => tensors.map(({ name }) => name));
  const got = new Set(names);
  if (got.size === expected.length && expected.every((name) => got.has(name))) return;
  failMismatch(label, `the parameters ${showNames(expected)}`, showNames(got));
}

function readEntry(group: Group, tensor: Tensor, value: unknown, steps: Map<Tensor, number>): Incoming[] {
  const prefix = `state.${tensor.name}`;
  const entry = checkObject(prefix, value, ["step", "rows", ...MOMENT_KEYS]);
  steps.set(tensor, checkCount(`${prefix}.step`, own(entry, "step")));
  checkRows(`${prefix}.rows`, tensor.part, own(entry, "rows"));
  return MOMENT_KEYS.flatMap((key) => {
    const label = `${prefix}.${key}`;
    const value = own(entry, key);
    const moment = group.moments.find((moment) => moment.key === key);
    if (moment !== undefined) return { tensor, label, moment, values: checkFloat32Array(label, value) };
    return value === undefined ? [] : failMismatch(label, "none, because amsgrad is off", "values");
  });
}

/** The state of one part of a tensor fits no other, even if that is as long. */
function checkRows(label: string, rows: readonly number[], value: unknown = []): void {
  const got = showShape(checkCounts(label, value));
  if (got !== showShape(rows)) failMismatch(label, showShape(rows), got);
}

function checkValues(incoming: Incoming): Incoming {
  const { tensor, label, moment } = incoming;
  // Values in the memory that will be written, and values that another thread can change, are copied before they are checked.
  const isOwn = incoming.values.buffer !== tensor.memory.buffer && !isShared(incoming.values);
  const values = isOwn ? incoming.values : incoming.values.slice();
  if (values.length !== tensor.length) {
    fail(RangeError, "ERR_SHAPE_MISMATCH", label, `${tensor.length} values`, String(values.length));
  }
  checkFinite(label, values, moment.signed);
  return { ...incoming, values };
}

/** Every group of the dict must have the same parameters as one of the optimizer's; the order of both may differ. */
function checkGroups(groups: readonly Group[], value: unknown): (() => void)[] {
  const entries = checkArray("param_groups", value, "an array");
  if (entries.length !== groups.length) failMismatch("param_groups", `${groups.length} groups`, String(entries.length));
  const unmatched = new Set(groups);
  return entries.map((entry, i) => {
    const label = `param_groups[${i}]`;
    const object = checkObject(label, entry, [...Object.values(GROUP_KEYS), RULE, "params"]);
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
    if (group === undefined || !unmatched.delete(group)) {
      failMismatch(`${label}.params`, "the parameters of one of the optimizer's groups", show([...names].join(", ")));
    }
    return checkGroup(label, group, object);
  });
}

function checkGroup(label: string, group: Group, object: object): () => void {
  const read = (key: keyof Hyper) => [key, CHECKS[key](`${label}.${GROUP_KEYS[key]}`, own(object, GROUP_KEYS[key]))];
  const hyper = Object.fromEntries(ADAM_KEYS.map(read)) as Hyper;
  const lr = checkNonNegative(`${label}.lr`, hyper.lr);
  const { amsgrad } = group.hyper;
  if (hyper.amsgrad !== amsgrad) {
    failMismatch(`${label}.amsgrad`, `${amsgrad}, fixed when the group was made`, String(hyper.amsgrad));
  }
  // A state that was saved before it said so goes where it is loaded.
  const decoupled = own(object, RULE);
  if (
    decoupled !== undefined &&
    checkBoolean(`${label}.${RULE}`, decoupled) === group.coupled &&
    hyper.weightDecay > 0
  ) {
    failMismatch(`${label}.${RULE}`, `${!group.coupled}, this optimizer's`, String(decoupled));
  }
  return () => {
    // A schedule is kept: the dict has the value that it last gave.
    Object.assign(group.hyper, hyper, typeof group.hyper.lr === "function" && { lr: group.hyper.lr });
    group.lastLr = lr;
  };
}
