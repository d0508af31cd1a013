import { checkFloat32Array } from "../../checks/arrays.js";
import { listLength } from "../../checks/builtins.js";
import { failMismatch, show } from "../../checks/errors.js";
import type { GroupState, ParamState, StateDict } from "../../checks/types.js";
import { checkArray, checkCount, checkNumber, checkRecord, own } from "../../checks/values.js";
import { momentsOf } from "../../memory/regions.js";
import { positionsOf, wholeState } from "./names.js";

/** One parameter's state as `torch.optim.Adam` and `torch.optim.AdamW` keep it, tensors flat and row-major. */
export interface TorchState {
  /** A number, or a tensor of one element, as newer releases have it. */
  step: number | ArrayLike<number>;
  /** First moment. */
  exp_avg: Float32Array;
  /** Second moment. */
  exp_avg_sq: Float32Array;
  /** With `amsgrad`: largest second moment so far. */
  max_exp_avg_sq?: Float32Array;
}

/** A group of `torch.optim.Adam` or `torch.optim.AdamW`; it may have other keys that only concern how torch runs. */
export interface TorchGroup {
  /** Learning rate. */
  lr: number;
  /** β1 and β2. */
  betas: [number, number];
  /** ε. */
  eps: number;
  /** λ. */
  weight_decay: number;
  /** Default false, as in states of releases that did not have it. */
  amsgrad?: boolean;
  /** Default false, as in states of releases that did not have it. */
  maximize?: boolean;
  /** True in `AdamW`, false in `Adam`. Missing in states of releases that did not have it: these load into both. */
  decoupled_weight_decay?: boolean;
  /** The group's parameters, as keys of `state`. */
  params: number[];
  [key: string]: unknown;
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
  const state = wholeState(stateDict);
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
  return {
    state: Object.fromEntries(names.map((name, i) => [i, { ...state[name]! }])),
    param_groups,
  };
}

/**
 * A state dict of ours from PyTorch's, for `loadStateDict`. Nothing is copied: `loadStateDict` does that.
 *
 * @param names the parameters in PyTorch's order, group by group
 * @throws TypeError, RangeError `ERR_STATE_MISMATCH` naming what does not fit; also for a parameter that PyTorch has not stepped
 * yet and therefore keeps no state for
 */
export function fromTorch(torchStateDict: TorchStateDict, names: readonly string[]): StateDict {
  const state = checkRecord("state", checkRecord("state_dict", torchStateDict).state);
  const param_groups = groupsOf(torchStateDict);
  const order = param_groups.flatMap(({ params }) => params);
  const { size } = positionsOf(names, names);
  if (order.length !== size || new Set(order).size !== size) {
    failMismatch("param_groups", `${size} parameters, each once`, `${order.length}`);
  }
  // As PyTorch itself, by position: it accepts any integers, as long as groups and state agree.
  const nameOf = new Map(order.map((param, i) => [param, names[i]!]));
  const entries = order.map((param) => {
    const entry = own(state, String(param));
    const label = `state[${param}]`;
    if (entry === undefined) {
      failMismatch(label, `the state of ${show(nameOf.get(param))}`, "none: PyTorch has not stepped it yet");
    }
    return [nameOf.get(param)!, readState(label, checkRecord(label, entry) as TorchState)] as const;
  });
  return {
    state: Object.fromEntries(entries),
    param_groups: param_groups.map(
      ({ lr, betas, eps, weight_decay, amsgrad = false, maximize = false, decoupled_weight_decay, params }) =>
        ({
          lr,
          betas,
          eps,
          weight_decay,
          amsgrad,
          maximize,
          bias_correction: true,
          ...(decoupled_weight_decay !== undefined && { decoupled_weight_decay }),
          params: params.map((param) => nameOf.get(param)!),
        }) as GroupState,
    ),
  };
}

function groupsOf<T extends { params: unknown[] }>({ param_groups }: { param_groups: T[] }): T[] {
  checkArray("param_groups", param_groups, "an array").forEach((group, i) => {
    const { params } = checkRecord(`param_groups[${i}]`, group) as T;
    checkArray(`param_groups[${i}].params`, params, "an array");
  });
  return param_groups;
}

function readState(label: string, entry: TorchState): ParamState {
  const state = { step: readStep(`${label}.step`, entry.step) } as ParamState;
  for (const { key } of momentsOf({ amsgrad: entry.max_exp_avg_sq !== undefined })) {
    state[key] = checkFloat32Array(`${label}.${key}`, entry[key]);
  }
  return state;
}

function readStep(label: string, value: unknown): number {
  if (typeof value !== "object" || value === null) return checkCount(label, value);
  if (listLength(value) !== 1) failMismatch(label, "a number or one element", show(value));
  return checkCount(label, checkNumber(label, (value as ArrayLike<number>)[0]));
}
