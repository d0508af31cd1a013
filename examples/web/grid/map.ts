import type { RuleName } from "../../decoupling/rules.js";
import type { Cell } from "../../decoupling/study.js";
import { element, scroller } from "../dom.js";
import { short } from "../format.js";
import { colours } from "./colours.js";
import { GRID } from "./runs.js";

/** What a cell of the map shows. */
export interface Look {
  /** Held-out accuracy; undefined where nothing was trained yet. */
  readonly accuracy: number | undefined;
  readonly running: boolean;
  /** Whether no decay is better at this rate. */
  readonly best: boolean;
}

/** Keys that move from cell to cell: by how many rows and columns. */
const MOVES: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, Number.NEGATIVE_INFINITY],
  End: [0, Number.POSITIVE_INFINITY],
};

/**
 * A rule's grid as a table, a row for each rate and a column for each decay, that is coloured as a map. One of its cells can be
 * reached by Tab, the others from there by arrow keys.
 */
export class HeatMap {
  readonly #cells: HTMLTableCellElement[][];

  /** @param onPoint is called with the cell that is pointed at or has the focus */
  constructor(host: HTMLElement, rule: RuleName, onPoint: (cell: Cell) => void) {
    const decays = GRID.decays[rule];
    const rates = GRID.rates.toReversed();
    this.#cells = rates.map((lr, row) =>
      decays.map((weightDecay, column) => {
        const made = element("td", { tabIndex: row === 0 && column === 0 ? 0 : -1, role: "gridcell" }, "");
        const cell = { rule, lr, weightDecay };
        made.addEventListener("pointerenter", () => onPoint(cell));
        made.addEventListener("focus", () => {
          for (const other of this.#cells.flat()) other.tabIndex = other === made ? 0 : -1;
          onPoint(cell);
        });
        made.addEventListener("keydown", (event) => {
          const move = MOVES[event.key];
          if (move === undefined) return;
          event.preventDefault();
          const within = (value: number, last: number) => Math.min(last, Math.max(0, value));
          this.#cells[within(row + move[0], rates.length - 1)]![within(column + move[1], decays.length - 1)]!.focus();
        });
        return made;
      }),
    );
    const heads = decays.map((decay) => element("th", { scope: "col" }, short(decay)));
    const table = element(
      "table",
      { className: "map", role: "grid" },
      element("caption", { className: "visually-hidden" }, `${rule}: held-out accuracy in percent, by rate and λ`),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "α \\ λ"), ...heads)),
      element(
        "tbody",
        {},
        ...rates.map((lr, row) => element("tr", {}, element("th", { scope: "row" }, short(lr)), ...this.#cells[row]!)),
      ),
    );
    host.replaceChildren(scroller(`${rule}, map`, table));
  }

  /** @param look in the order of the rows, the largest rate first */
  show(looks: readonly (readonly Look[])[]): void {
    for (const [row, cells] of this.#cells.entries()) {
      for (const [column, cell] of cells.entries()) {
        const { accuracy, running, best } = looks[row]![column]!;
        const text = accuracy === undefined ? "" : (100 * accuracy).toFixed(0);
        if (cell.textContent !== text) cell.textContent = text;
        const { background, text: ink } = accuracy === undefined ? { background: "", text: "" } : colours(accuracy);
        cell.style.background = background;
        cell.style.color = ink;
        cell.classList.toggle("running", running);
        cell.classList.toggle("best", best);
      }
    }
  }
}
