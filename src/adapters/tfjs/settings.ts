import type { Hyper, StepSettings } from "../../checks/defaults.js";
import { failRange, failType } from "../../checks/errors.js";
import { ADAM_KEYS, readHyper } from "../../checks/hyper.js";
import { readRuntime } from "../../checks/runtime.js";
import { readStep } from "../../checks/stepOptions.js";
import type { KernelChoice } from "../../checks/types.js";
import { checkBoolean, checkNonNegative, checkObject, own } from "../../checks/values.js";
import { Adam, AdamW } from "../../optimizer/optimizer.js";
import { ADAM, ADAMW } from "../../optimizer/variant.js";

/** The two optimizers, under the names that models are saved with. */
export const KINDS = {
  FusedAdam: { Core: Adam, ...ADAM },
  FusedAdamW: { Core: AdamW, ...ADAMW },
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
  readonly gpu: (typeof GPU)[number];
  /** What the rules say of a variable; undefined where they are code that was not saved. */
  readonly rule: ((name: string, shape: readonly number[]) => Rule) | undefined;
  /** Whether the rules are the caller's own. */
  readonly ownRules: boolean;
}

const GPU = ["auto", "copy"] as const;
const STEP_KEYS = ["clipNorm", "gradScale", "skipNonFinite"] as const;
const RULE_KEYS = ["decay", "lrFactor"] as const;
const KEYS = [...ADAM_KEYS, ...STEP_KEYS, ...RULE_KEYS, "kernel", "gpu"];

export function readSettings(kind: KindName, options: unknown = {}): Settings {
  const object = checkObject("options", options, KEYS);
  const { clipNorm, gradScale, skipNonFinite } = readStep(
    Object.fromEntries(STEP_KEYS.map((key) => [key, own(object, key)])),
  );
  return {
    kind,
    hyper: readHyper(object, KINDS[kind].defaults),
    step: { clipNorm, gradScale, skipNonFinite },
    kernel: readRuntime(object).kernel,
    gpu: checkChoice("gpu", own(object, "gpu"), GPU),
    rule: readRules(object),
    ownRules: RULE_KEYS.some((key) => own(object, key) !== undefined),
  };
}

/** Rules as options of their own. */
export function checkRules(rules: unknown): NonNullable<Settings["rule"]> {
  return readRules(checkObject("rules", rules, RULE_KEYS));
}

function readRules(object: object): NonNullable<Settings["rule"]> {
  const decay = readRule("decay", own(object, "decay"), checkBoolean, (_, shape) => shape.length > 1);
  const lrFactor = readRule("lrFactor", own(object, "lrFactor"), checkNonNegative, () => 1);
  return (name, shape) => ({ decay: decay(name, shape), lrFactor: lrFactor(name, shape) });
}

function checkChoice<T extends string>(label: string, value: unknown, choices: readonly [T, ...T[]]): T {
  if (value === undefined) return choices[0];
  if (typeof value !== "string") failType(label, `one of ${choices.join(", ")}`, value);
  const choice = choices.find((choice) => choice === value);
  return choice ?? failRange(label, `one of ${choices.join(", ")}`, value);
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
