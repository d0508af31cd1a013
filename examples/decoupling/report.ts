import { table } from "../shared/table.js";
import {
  bestDecays,
  type Chosen,
  type Criterion,
  compare,
  type Outcomes,
  oneForAll,
  resultOf,
  type Slope,
  slopeOf,
} from "./analysis.js";
import { RULE_NAMES, type RuleName } from "./rules.js";
import type { Summary } from "./statistics.js";
import type { Study } from "./study.js";

const signed = (value: number, digits: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
/** A rate or a decay, in two digits. */
export const short = (value: number): string => {
  const rounded = Number(value.toPrecision(2));
  return rounded < 2e-3 ? rounded.toExponential() : String(rounded);
};
const percent = (share: number) => (100 * share).toFixed(1);
/** Nothing is said where one value says nothing. */
const plusMinus = (value: number, digits: number) => (Number.isNaN(value) ? "" : ` ± ${value.toFixed(digits)}`);

/** Held-out accuracy in percent of every cell of a rule's grid, the largest rate first; the best of each row in bold. */
export function gridTable(study: Study, outcomes: Outcomes, rule: RuleName): string {
  const decays = study.decays[rule];
  return table(
    ["rate \\ λ", ...decays.map(short)],
    study.rates.toReversed().map((lr) => {
      const row = decays.map((weightDecay) => resultOf(study, outcomes, { rule, lr, weightDecay }).accuracy);
      const best = row.indexOf(Math.max(...row));
      return [short(lr), ...row.map((value, i) => (i === best ? `**${percent(value)}**` : percent(value)))];
    }),
  );
}

/** How a rule's best decay goes with the rate, and what a single decay for all rates comes to. */
export function slopeTable(study: Study, outcomes: Outcomes): string {
  const columns = RULE_NAMES.map((rule) => ({
    best: bestDecays(study, outcomes, rule),
    slope: slopeOf(study, outcomes, rule),
    one: oneForAll(study, outcomes, rule),
  }));
  return table(
    ["", ...RULE_NAMES],
    [
      ...study.rates.map((lr, i) => [
        `best λ at rate ${lr}`,
        ...columns.map(({ best }) => short(best[i]!.weightDecay)),
      ]),
      [
        "powers of ten in λ per power of ten in the rate",
        ...columns.map(({ slope: { slope, error } }) => signed(slope, 2) + plusMinus(error, 2)),
      ],
      ["one λ for all rates", ...columns.map(({ one }) => short(one.weightDecay))],
      ["mean held-out accuracy with it, %", ...columns.map(({ one }) => percent(one.accuracy))],
    ],
  );
}

/** What ten times the rate does to the best decay, in words: "divided by 1.3". */
export function change({ slope }: Pick<Slope, "slope">): string {
  return `${slope < 0 ? "divided" : "multiplied"} by ${(10 ** Math.abs(slope)).toFixed(1)}`;
}

/** What the grid shows, in three sentences. */
export function claim(study: Study, outcomes: Outcomes): string {
  const [ours, theirs] = RULE_NAMES.map((rule) => ({
    moves: change(slopeOf(study, outcomes, rule)),
    one: percent(oneForAll(study, outcomes, rule).accuracy),
  }));
  const { rules, difference } = compare(study, outcomes, "accuracy");
  const best = RULE_NAMES.map((rule) => percent(rules[rule].result.mean));
  return (
    `With ten times the learning rate, the best decay is ${ours!.moves} under AdamW and ${theirs!.moves} under Adam with L2. With one decay for ` +
    `all rates, held-out accuracy is ${ours!.one} % and ${theirs!.one} %. With rate and decay tuned for each it is ${best.join(" % and ")} % ` +
    `(difference ${signed(100 * difference.mean, 1)}${plusMinus(100 * difference.error, 1)}). [The claim, measured](docs/family.md#the-claim-measured)`
  );
}

/** The slope again, in the units of the article. */
export function units(study: Study, outcomes: Outcomes): string {
  const { slope, error } = slopeOf(study, outcomes, "AdamW");
  return (
    `In the article's units, where a step multiplies weights by $1 - \\lambda'$, so that $\\lambda' = \\alpha\\lambda$, the same measurement ` +
    `says: AdamW's best $\\lambda'$ changes by ${signed(1 + slope, 2)}${plusMinus(error, 2)} powers of ten per power of ten in the rate. ` +
    "It goes with the rate; it is λ as it is here, and in PyTorch, that hardly does."
  );
}

/** `fine`: digits of a difference. */
const CRITERION: Record<
  Criterion,
  { readonly name: string; readonly factor: number; readonly digits: number; readonly fine: number }
> = {
  loss: { name: "held-out loss", factor: 1, digits: 3, fine: 3 },
  accuracy: { name: "held-out accuracy, %", factor: 100, digits: 1, fine: 2 },
};

/** What was chosen for each task by a criterion, and how it did with fresh seeds: mean ± standard deviation; differences ± standard error. */
export function comparisonTable(studies: readonly Study[], outcomes: Outcomes, by: Criterion): string {
  const { name, factor, digits, fine } = CRITERION[by];
  const show = ({ mean }: Summary, spread: number) =>
    (factor * mean).toFixed(digits) + plusMinus(factor * spread, digits);
  const chosen = ({ lr, weightDecay, atEdge }: Chosen) =>
    `${short(lr)}, ${short(weightDecay)}${atEdge ? " (edge)" : ""}`;
  return table(
    [
      "",
      ...RULE_NAMES.map((rule) => `${rule}: rate, λ`),
      ...RULE_NAMES.map((rule) => `${rule}: ${name}`),
      "difference",
      "AdamW better",
    ],
    studies.map((study) => {
      const { rules, difference, wins } = compare(study, outcomes, by);
      const { mean, error } = difference;
      return [
        study.task,
        ...RULE_NAMES.map((rule) => chosen(rules[rule])),
        ...RULE_NAMES.map((rule) => show(rules[rule].result, rules[rule].result.deviation)),
        signed(factor * mean, fine) + plusMinus(factor * error, fine),
        `${wins} of ${study.freshSeeds.length}`,
      ];
    }),
  );
}
