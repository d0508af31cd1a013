import type { JsTree } from "@jax-js/jax";
import { isArray } from "../../checks/builtins.js";
import type { Hyper, StepSettings } from "../../checks/defaults.js";
import { failType } from "../../checks/errors.js";
import { ADAM_KEYS, readHyper } from "../../checks/hyper.js";
import { readRuntime } from "../../checks/runtime.js";
import { readStep } from "../../checks/stepOptions.js";
import type { AdamOptions, KernelChoice } from "../../checks/types.js";
import { checkObject, isRecord, own } from "../../checks/values.js";
import type { Variant } from "../../optimizer/variant.js";
import type { ArrayTree } from "./leaves.js";

/** The hyper-parameters of `Adam` and `AdamW`, and options that concern trees and steps. */
export interface TransformationOptions<Params extends ArrayTree = ArrayTree> extends AdamOptions {
  /**
   * Which leaves decay, as in Python's optax: booleans in the structure of the parameters, where one may stand for all below it; or
   * a function from the parameters to such a tree, called when memory for the moments is set up. jax-js's own optax takes arrays instead, with
   * a factor for each element: these are refused. Default: all.
   */
  readonly mask?: JsTree<boolean> | ((params: Params) => JsTree<boolean>) | undefined;
  /** Scale the gradients so that their L2 norm over the whole tree is at most this. Finite and >= 0. Default: none. */
  readonly clipNorm?: number | undefined;
  /** If any gradient is NaN or infinite, change nothing and count no step. Default false. */
  readonly skipNonFinite?: boolean | undefined;
  /** Default "auto". */
  readonly kernel?: KernelChoice | undefined;
}

/** Options, complete and checked. */
export interface Settings {
  readonly variant: Variant;
  readonly hyper: Readonly<Hyper>;
  readonly kernel: KernelChoice;
  readonly step: Pick<StepSettings, (typeof STEP_KEYS)[number]>;
  /** A tree of booleans if it fits the parameters, or a function. */
  readonly mask: unknown;
}

const STEP_KEYS = ["clipNorm", "skipNonFinite"] as const;

export function readSettings(variant: Variant, options: unknown = {}): Settings {
  const checked = checkObject("options", options, [...ADAM_KEYS, ...STEP_KEYS, "kernel", "mask"]);
  const mask = own(checked, "mask");
  if (mask !== undefined && typeof mask !== "boolean" && typeof mask !== "function") {
    if (!isRecord(mask) && !isArray(mask)) failType("mask", "a tree of booleans or a function", mask);
  }
  const { clipNorm, skipNonFinite } = readStep(Object.fromEntries(STEP_KEYS.map((key) => [key, own(checked, key)])));
  return {
    variant,
    hyper: readHyper(checked, variant.defaults),
    kernel: readRuntime(checked).kernel,
    step: { clipNorm, skipNonFinite },
    mask,
  };
}
