import * as Plot from "@observablehq/plot";
import { figure } from "../../scripts/figure.js";
import { bestDecays, type Outcomes, resultOf, slopeOf } from "./analysis.js";
import { change, short } from "./report.js";
import { RULE_NAMES, type RuleName } from "./rules.js";
import { cellsOf, type Study } from "./study.js";

/** Cells are as wide as they are, whatever lies between two decays: one apart is one step of the series 1, 2, 5, 10. */
interface Place {
  readonly rule: RuleName;
  readonly x: number;
  readonly y: number;
}

const CELL = { width: 39, height: 44 };
/** A number in the upper half of each cell, what is best in the lower. */
const [UPPER, LOWER] = [-8, 11];
const MARGIN = { marginLeft: 64, marginTop: 88, marginBottom: 64, marginRight: 12 };
const GAP = 0.06;

/** Held-out accuracy over rate and decay, a map for each rule side by side, with the best decay of each rate. */
export function heatMaps(study: Study, outcomes: Outcomes): string {
  const columns = study.decays.AdamW.length;
  const places = RULE_NAMES.flatMap((rule) =>
    cellsOf(study, rule).map((cell) => ({
      ...placeOf(study, rule, cell.lr, cell.weightDecay),
      accuracy: resultOf(study, outcomes, cell).accuracy,
    })),
  );
  const best = RULE_NAMES.flatMap((rule) =>
    bestDecays(study, outcomes, rule).map(({ lr, weightDecay }) => placeOf(study, rule, lr, weightDecay)),
  );
  const lines = RULE_NAMES.flatMap((rule) => {
    const { at } = slopeOf(study, outcomes, rule);
    return study.rates.map((lr) => placeOf(study, rule, lr, at(lr)));
  });
  const names = RULE_NAMES.map((rule) => {
    const moves = change(slopeOf(study, outcomes, rule));
    return { rule, text: `${rule}: ten times the rate, decay ${moves}` };
  });
  const decayLabels = RULE_NAMES.flatMap((rule) =>
    study.decays[rule].map((decay, x) => ({ rule, x, text: short(decay) })),
  );
  const rateLabels = study.rates.map((lr, y) => ({ rule: RULE_NAMES[0]!, y, text: short(lr) }));

  return figure(
    {
      title: "Under AdamW the best decay hardly depends on the learning rate",
      subtitle: `Held-out accuracy in %, ${study.task}, ${study.steps.toLocaleString("en")} steps, mean of ${study.seeds.length} seeds. Dots: the best decay of each rate; line: the fit through them.`,
      description: describe(study, outcomes),
    },
    {
      ...MARGIN,
      width: MARGIN.marginLeft + MARGIN.marginRight + (2 * columns * CELL.width) / (1 - GAP),
      height: MARGIN.marginTop + MARGIN.marginBottom + study.rates.length * CELL.height,
      fx: { domain: RULE_NAMES, axis: null, padding: GAP },
      x: { domain: [-0.5, columns - 0.5], axis: null },
      y: { domain: [-0.5, study.rates.length - 0.5], axis: null },
      color: { type: "linear", scheme: "viridis", domain: [0, 1] },
      marks: [
        Plot.rect(places, {
          fx: "rule",
          x1: ({ x }: Place) => x - 0.5,
          x2: ({ x }: Place) => x + 0.5,
          y1: ({ y }: Place) => y - 0.5,
          y2: ({ y }: Place) => y + 0.5,
          fill: "accuracy",
          inset: 0.5,
        }),
        Plot.line(lines, { fx: "rule", x: "x", y: "y", z: "rule", dy: LOWER, stroke: "white", strokeWidth: 2 }),
        Plot.text(places, {
          fx: "rule",
          x: "x",
          y: "y",
          dy: UPPER,
          text: ({ accuracy }: { accuracy: number }) => (100 * accuracy).toFixed(0),
          fill: ({ accuracy }: { accuracy: number }) => (accuracy > 0.55 ? "black" : "white"),
        }),
        Plot.dot(best, {
          fx: "rule",
          x: "x",
          y: "y",
          dy: LOWER,
          r: 4.5,
          fill: "white",
          stroke: "#24292f",
          strokeWidth: 1.5,
        }),
        Plot.text(names, { fx: "rule", text: "text", frameAnchor: "top-left", dy: -16, fontSize: 13, fontWeight: 600 }),
        Plot.text(decayLabels, { fx: "rule", x: "x", text: "text", frameAnchor: "bottom", dy: 16 }),
        Plot.text(rateLabels, { fx: "rule", y: "y", text: "text", frameAnchor: "left", textAnchor: "end", dx: -8 }),
        Plot.text(names, { fx: "rule", text: () => "weight decay λ", frameAnchor: "bottom", dy: 38 }),
        Plot.text(names.slice(0, 1), {
          fx: "rule",
          text: () => "rate",
          frameAnchor: "top-left",
          textAnchor: "end",
          dx: -8,
          dy: -16,
        }),
      ],
    },
  );
}

function placeOf(study: Study, rule: RuleName, lr: number, weightDecay: number): Place {
  return { rule, x: index(study.decays[rule], weightDecay), y: index(study.rates, lr) };
}

/** Where a value stands among others, in a fraction of a step between two of them, by logarithms. */
function index(values: readonly number[], value: number): number {
  const last = values.length - 2;
  const left = Math.min(
    last,
    Math.max(
      0,
      values.findLastIndex((one) => one <= value),
    ),
  );
  return left + Math.log(value / values[left]!) / Math.log(values[left + 1]! / values[left]!);
}

/** The same in words. */
function describe(study: Study, outcomes: Outcomes): string {
  return RULE_NAMES.map((rule) => {
    const rows = study.rates.map((lr) => {
      const cells = study.decays[rule].map((weightDecay) => {
        const { accuracy } = resultOf(study, outcomes, { rule, lr, weightDecay });
        return `${(100 * accuracy).toFixed(0)} at ${short(weightDecay)}`;
      });
      return `rate ${lr}: ${cells.join(", ")}`;
    });
    return `${rule}, held-out accuracy in % by decay. ${rows.join("; ")}.`;
  }).join(" ");
}
