/** The element of the page with this id. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element ${id}`);
  return found as E;
}

/** A new element with its properties, attributes (those with a dash in their name, and `role`) and content. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> & Record<`aria-${string}`, string>,
  ...content: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, String(value));
    else Object.assign(made, { [key]: value });
  }
  made.append(...content);
  return made;
}

/** Wide content scrolls in its own box, which the keyboard must be able to reach. */
export function scroller(label: string, content: Node): HTMLElement {
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": label }, content);
}

type Cell = Node | string;

/** Shows a table whose first column heads its rows. */
export function showTable(
  host: HTMLElement,
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
): HTMLTableElement {
  const cells = (row: readonly Cell[]) =>
    row.map((cell, i) => (i === 0 ? element("th", { scope: "row" }, cell) : element("td", {}, cell)));
  const made = element(
    "table",
    {},
    element("caption", { className: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
  );
  host.replaceChildren(scroller(caption, made));
  return made;
}

/** A table of texts that change. Cells stay the same elements, so that a screen reader does not lose its place. */
export class LiveTable {
  #shown: HTMLTableElement | undefined;
  #head: readonly string[];

  constructor(
    readonly host: HTMLElement,
    readonly caption: string,
    head: readonly string[],
    /** A class for the heading of row i. */
    readonly rowClass: (row: number) => string = () => "",
  ) {
    this.#head = head;
  }

  show(rows: readonly (readonly string[])[], head = this.#head): void {
    const body = this.#shown?.tBodies[0];
    if (body?.rows.length === rows.length && head.length === this.#head.length) {
      rows.forEach((row, i) => {
        row.forEach((text, j) => {
          const cell = body.rows[i]!.cells[j]!;
          if (cell.textContent !== text) cell.textContent = text;
        });
      });
      return;
    }
    this.#head = head;
    this.#shown = showTable(this.host, this.caption, head, rows);
    [...this.#shown.tBodies[0]!.rows].forEach((row, i) => {
      row.cells[0]!.className = this.rowClass(i);
    });
  }
}
