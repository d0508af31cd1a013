import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** A line of a chart. Mid tones stand out on white and on black. */
export interface Stroke {
  readonly colour: string;
  /** As `stroke-dasharray`; solid where it is left out. */
  readonly dash?: string;
  readonly width?: number;
}

export const COLOURS = {
  blue: "#2a7fde",
  orange: "#d9600d",
  purple: "#b059c4",
  green: "#2e9e6b",
  grey: "#7d8590",
} as const;

/** What has no colour of its own has the colour of the text. */
const STYLE = `
  svg { color: #24292f; background: var(--paper); --paper: #ffffff }
  @media (prefers-color-scheme: dark) { svg { color: #e6edf3; --paper: #1b1b1f } }
`;
/** The colour behind everything: text outlined with it stays legible where a line crosses it. */
export const PAPER = "var(--paper)";

interface Words {
  readonly title: string;
  readonly subtitle: string;
  /** For screen readers. */
  readonly description: string;
}

/** An Observable Plot as a stand-alone SVG for light and dark pages, with a title and a description for screen readers. */
export function figure({ title, subtitle, description }: Words, options: Plot.PlotOptions): string {
  const marginTop = options.marginTop ?? 60;
  const { document } = parseHTML("<!doctype html><html></html>");
  // Once over all facets, where there are some.
  const above = { frameAnchor: "top-left", facet: "super", dx: 12 - (options.marginLeft ?? 40) } as const;
  const marks = [
    Plot.text([title], { ...above, dy: 16 - marginTop, fontSize: 17, fontWeight: 600 }),
    Plot.text([subtitle], { ...above, dy: 39 - marginTop }),
    ...(options.marks ?? []),
  ];
  const svg = Plot.plot({
    style: { fontSize: "14px", overflow: "visible" },
    ...options,
    marginTop,
    marks,
    document: document as unknown as Document,
  });
  const child = (name: string, text: string) => {
    const element = document.createElement(name);
    element.textContent = text;
    return element as unknown as Element;
  };
  svg.prepend(child("title", title), child("desc", description), child("style", STYLE));
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  return `${svg.outerHTML}\n`;
}
