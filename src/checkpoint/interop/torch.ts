import { checkFloat32Array } from "../../checks/arrays.js";
import { listLength } from "../../checks/builtins.js";
import { ADAM_DEFAULTS } from "../../checks/defaults.js";
import { failMismatch, quote, show } from "../../checks/errors.js";
import type { GroupState, ParamState, StateDict } from "../../checks/types.js";
import {
  checkArray,
  checkBoolean,
  checkCount,
  checkNumber,
  checkObject,
  checkRecord,
  isRecord,
  own,
} from "../../checks/values.js";
import { MOMENT_KEYS, momentsOf } from "../../memory/regions.js";
import { positionsOf, wholeState } from "./names.js";

/** A number, or one in an array or a tensor `{ data }` of one element. */
export type TorchNumber =
  | number
  | ArrayLike<number | bigint>
  | {
      /** The tensor's element. */
      readonly data: ArrayLike<number | bigint>;
    };

/** One parameter's state as `torch.optim.Adam` and `torch.optim.AdamW` keep it, tensors flat and row-major. */
export interface TorchState {
  /** A tensor in newer releases. Apex keeps it in the group. */
  step?: TorchNumber;
  /** First moment. */
  exp_avg: Float32Array;
  /** Second moment. */
  exp_avg_sq: Float32Array;
  /** With `amsgrad`: largest second moment so far. */
  max_exp_avg_sq?: Float32Array;
}

/**
 * A group of `torch.optim.Adam` or `AdamW`, or of Apex's or DeepSpeed's Adam. It may have keys that only say how those run (`foreach`,
 * `fused`, `capturable`, `differentiable`), what a scheduler notes (`initial_lr`), and texts.
 */
export interface TorchGroup {
  /** Learning rate. */
  lr: TorchNumber;
  /** β1 and β2. */
  betas: [TorchNumber, TorchNumber];
  /** ε. */
  eps: number;
  /** λ. */
  weight_decay: number;
  /** Default false, as in states that do not have it. */
  amsgrad?: boolean;
  /** Default false, as in states of releases that did not have it. */
  maximize?: boolean;
  /** True in `AdamW`, false in `Adam`. Missing in states of releases up to 2.6: these load into both. */
  decoupled_weight_decay?: boolean;
  /** Apex's and DeepSpeed's. Default true, as always in PyTorch. */
  bias_correction?: boolean | 0 | 1;
  /** Apex's and DeepSpeed's name for `decoupled_weight_decay`. */
  adam_w_mode?: boolean | 0 | 1;
  /** Steps of the whole group, in Apex's. */
  step?: TorchNumber;
  /** The group's parameters, as keys of `state`. */
  params: number[];
  [key: string]: unknown;
}

/** How a state of PyTorch's is read. What is left out, or `undefined`, has its default. */
export interface FromTorchOptions {
  /** Parameters that PyTorch has not stepped yet, and therefore keeps no state for, begin at step 0. Default false: they are an error. */
  readonly allowMissing?: boolean | undefined;
}

/** The layout of `optimizer.state_dict()` in PyTorch: parameters are integers, numbered across groups. */
export interface TorchStateDict {
  /** By number of the parameter; PyTorch makes an entry at a parameter's first step. */
  state: Record<number, TorchState>;
  /** In PyTorch's order. */
  param_groups: TorchGroup[];
}

/**
 * A state dict in PyTorch's layout, for `load_state_dict` after its arrays have become tensors.
 *
 * @param names the parameters in PyTorch's order, group by group: that of `model.named_parameters()` if there is one group
 * @throws RangeError `ERR_STATE_MISMATCH` where names and state differ, where a group's parameters do not stand together,
 * and for `biasCorrection: false`, which PyTorch does not have
 */
export function toTorch(stateDict: StateDict, names: readonly string[]): TorchStateDict {
  const state = wholeState(stateDict, false);
  const index = positionsOf(names, Object.keys(state));
  const param_groups = groupsOf(stateDict).map(({ params, bias_correction, ...hyper }, i): TorchGroup => {
    if (!bias_correction) failMismatch(`param_groups[${i}].bias_correction`, "true, as always in PyTorch", "false");
    return { ...hyper, params: params.map((name) => index.get(name) ?? -1).sort((a, b) => a - b) };
  });
  param_groups.sort((a, b) => (a.params[0] ?? 0) - (b.params[0] ?? 0));
  const order = param_groups.flatMap(({ params }) => params);
  if (order.length !== names.length || order.some((param, i) => param !== i)) {
    failMismatch("names", "the parameters group by group", "another order");
  }
  const entries = names.map((name, i) => [i, { ...state[name]! }] as const);
  // PyTorch has no entry of a parameter before its first step, either.
  return { state: Object.fromEntries(entries.filter(([, { exp_avg }]) => exp_avg !== undefined)), param_groups };
}

/**
 * A state dict of ours from PyTorch's, for `loadStateDict`. Nothing is copied: `loadStateDict` does that. What changes the arithmetic is
 * taken over or refused: `decoupled_weight_decay`, `bias_correction`, and every key that Adam does not have.
 *
 * @param names the parameters in PyTorch's order, group by group
 * @throws TypeError, RangeError `ERR_STATE_MISMATCH` naming what does not fit; also for states of other optimizers, and for a parameter that
 * PyTorch has not stepped yet and therefore keeps no state for, unless `allowMissing` is asked for
 */
export function fromTorch(
  torchStateDict: TorchStateDict,
  names: readonly string[],
  options: FromTorchOptions = {},
): StateDict {
  const allowMissing = own(checkObject("options", options, ["allowMissing"]), "allowMissing");
  const allows = allowMissing !== undefined && checkBoolean("allowMissing", allowMissing);
  const state = checkRecord("state", checkRecord("state_dict", torchStateDict).state, BY_NUMBER);
  const groups = groupsOf(torchStateDict);
  const order = groups.flatMap(({ params }) => params);
  const { size } = positionsOf(names, names);
  if (order.length !== size || new Set(order).size !== size) {
    failMismatch("param_groups", `${size} parameters, each once`, `${order.length}`);
  }
  // As PyTorch itself, by position: it accepts any integers, as long as groups and state agree.
  const nameOf = new Map(order.map((param, i) => [param, names[i]!]));
  const param_groups = groups.map((group, i) => readGroup(`param_groups[${i}]`, group, nameOf));
  const entries = groups.flatMap((group, i) =>
    group.params.map((param) => {
      const label = `state[${param}]`;
      const entry = own(state, String(param));
      const name = nameOf.get(param)!;
      if (entry === undefined && !allows) {
        failMismatch(label, `the state of ${show(name)}`, "none: PyTorch has not stepped it yet");
      }
      const common = group.step === undefined ? undefined : scalarOf(`param_groups[${i}].step`, group.step);
      return [name, entry === undefined ? UNSTEPPED : readState(label, entry, common)] as const;
    }),
  );
  return { state: Object.fromEntries(entries), param_groups };
}

const BY_NUMBER = "an object by number of the parameter (Object.fromEntries makes one of a Map)";

/** Its moments are zeros, of a length that only the optimizer knows. */
const UNSTEPPED = { step: 0 } as ParamState;

function groupsOf<T extends { params: unknown[] }>({ param_groups }: { param_groups: T[] }): T[] {
  checkArray("param_groups", param_groups, "an array").forEach((group, i) => {
    const { params } = checkRecord(`param_groups[${i}]`, group) as T;
    checkArray(`param_groups[${i}].params`, params, "an array");
  });
  return param_groups;
}

/** How PyTorch runs an optimizer: not Apex and not DeepSpeed. */
const RUNNING = ["foreach", "fused", "capturable", "differentiable"];
/** What schedulers note, and what parameters are called. */
const NOTES = ["initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr", "param_names"];
const TAKEN = ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "decoupled_weight_decay"];
const APEX = ["bias_correction", "adam_w_mode", "step"];
const GROUP_KEYS = new Set([...TAKEN, ...APEX, "params", ...RUNNING, ...NOTES]);

function readGroup(label: string, group: TorchGroup, nameOf: ReadonlyMap<number, string>): GroupState {
  for (const [key, value] of Object.entries(group)) {
    if (GROUP_KEYS.has(key) || typeof value === "string") continue;
    const got = `the key ${quote(key)}: another optimizer's, or one that may change what is computed`;
    failMismatch(label, "the keys of Adam and AdamW", got);
  }
  const { amsgrad, maximize, bias_correction = true, decoupled_weight_decay, adam_w_mode, params } = group;
  if (amsgrad === undefined && [...RUNNING, "decoupled_weight_decay"].some((key) => own(group, key) !== undefined)) {
    failMismatch(`${label}.amsgrad`, "true or false, as in every Adam of PyTorch", "none, as in RAdam");
  }
  const rules = Object.entries({ decoupled_weight_decay, adam_w_mode }).flatMap(([key, value]) =>
    value === undefined ? [] : flagOf(`${label}.${key}`, value),
  );
  if (rules.length === 2 && rules[0] !== rules[1]) failMismatch(`${label}.adam_w_mode`, String(rules[0]), "the other");
  const betas = checkArray(`${label}.betas`, group.betas, "an array of two numbers");
  const state = {
    lr: scalarOf(`${label}.lr`, group.lr),
    betas: betas.map((beta, i) => scalarOf(`${label}.betas[${i}]`, beta)),
    eps: scalarOf(`${label}.eps`, group.eps),
    weight_decay: scalarOf(`${label}.weight_decay`, group.weight_decay),
    amsgrad: flagOf(`${label}.amsgrad`, amsgrad),
    maximize: flagOf(`${label}.maximize`, maximize),
    bias_correction: flagOf(`${label}.bias_correction`, bias_correction),
    ...(rules.length > 0 && { decoupled_weight_decay: rules[0] }),
    params: params.map((param) => nameOf.get(param)!),
  };
  return state as GroupState;
}

/** @param common the group's step, where it counts them */
function readState(label: string, entry: unknown, common: number | undefined): ParamState {
  const object = checkRecord(label, entry) as TorchState;
  const known: readonly string[] = ["step", ...MOMENT_KEYS];
  const other = Object.keys(object).find((key) => !known.includes(key));
  if (other !== undefined) {
    failMismatch(label, `the keys of Adam: ${known.join(", ")}`, `the key ${quote(other)}: another optimizer's`);
  }
  const step = object.step === undefined ? common : scalarOf(`${label}.step`, object.step);
  const state = { step: checkCount(`${label}.step`, step) } as ParamState;
  for (const { key } of momentsOf({ ...ADAM_DEFAULTS, amsgrad: object.max_exp_avg_sq !== undefined })) {
    state[key] = checkFloat32Array(`${label}.${key}`, object[key]);
  }
  return state;
}

function flagOf(label: string, value: unknown = false): boolean {
  return value === 1 || (value !== 0 && checkBoolean(label, value));
}

function scalarOf(label: string, value: unknown): number {
  if (typeof value !== "object" || value === null) return checkNumber(label, value);
  const list = isRecord(value) && listLength(value) === undefined ? (value as { data?: unknown }).data : value;
  if (listLength(list) !== 1) failMismatch(label, "a number, or an array or tensor of one element", show(value));
  const element = (list as ArrayLike<unknown>)[0];
  return typeof element === "bigint" ? Number(element) : checkNumber(label, element);
}
