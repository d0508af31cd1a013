/** The rules that are compared. */
export const RULE_NAMES = ["AdamW", "Adam + L2"] as const;

export type RuleName = (typeof RULE_NAMES)[number];
