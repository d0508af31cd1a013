import { ADAM_DEFAULTS, ADAMW_DEFAULTS, type Hyper, type StepSettings } from "../../checks/defaults.js";
import { failType } from "../../checks/errors.js";
import { ADAM_KEYS, readHyper } from "../../checks/hyper.js";
import { readRuntime } from "../../checks/runtime.js";
import { readStep } from "../../checks/stepOptions.js";
import type { KernelChoice } from "../../checks/types.js";
import { checkBoolean, checkNonNegative, checkObject, own } from "../../checks/values.js";
import { Adam, AdamW } from "../../optimizer/optimizer.js";

/** The two optimizers, under the names that models are saved with. */
export const KINDS = {
  FusedAdam: { Core: Adam, defaults: ADAM_DEFAULTS },
  FusedAdamW: { Core: AdamW, defaults: ADAMW_DEFAULTS },
} as const;

export type KindName = keyof typeof KINDS;

/** What the rules say of one variable. */
export interface Rule {
  readonly decay: boolean;
  readonly lrFactor: number;
}

/** Options, complete and checked. */
export interface Settings {
  readonly kind: KindName;
  readonly hyper: Hyper;
  readonly step: Pick<StepSettings, (typeof STEP_KEYS)[number]>;
  readonly kernel: KernelChoice;
  /** What the rules say of a variable; undefined where they are code that was not saved. */
  readonly rule: ((name: string, shape: readonly number[]) => Rule) | undefined;
  /** Whether the rules are the caller's own. */
  readonly ownRules: boolean;
}

const STEP_KEYS = ["clipNorm", "gradScale", "skipNonFinite"] as const;
const KEYS = [...ADAM_KEYS, ...STEP_KEYS, "decay", "lrFactor", "kernel"];

export function readSettings(kind: KindName, options: unknown = {}): Settings {
  const object = checkObject("options", options, KEYS);
  const { clipNorm, gradScale, skipNonFinite } = readStep(
    Object.fromEntries(STEP_KEYS.map((key) => [key, own(object, key)])),
  );
  const decay = readRule("decay", own(object, "decay"), checkBoolean, (_, shape) => shape.length > 1);
  const lrFactor = readRule("lrFactor", own(object, "lrFactor"), checkNonNegative, () => 1);
  return {
    kind,
    hyper: readHyper(object, KINDS[kind].defaults),
    step: { clipNorm, gradScale, skipNonFinite },
    kernel: readRuntime(object).kernel,
    rule: (name, shape) => ({ decay: decay(name, shape), lrFactor: lrFactor(name, shape) }),
    ownRules: own(object, "decay") !== undefined || own(object, "lrFactor") !== undefined,
  };
}

type RuleFunction<T> = (name: string, shape: readonly number[]) => T;

function readRule<T>(
  label: string,
  value: unknown,
  check: (label: string, value: unknown) => T,
  fallback: RuleFunction<T>,
): RuleFunction<T> {
  if (value === undefined) return fallback;
  if (typeof value !== "function") failType(label, "a function of a variable's name and shape", value);
  return (name, shape) => check(`${label}(${name})`, value(name, [...shape]));
}
