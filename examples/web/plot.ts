import type uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

/** Milliseconds between redraws for users who prefer reduced motion. */
const CALM_MILLISECONDS = 2000;
const HEIGHT = 300;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

let colours: CSSStyleDeclaration | undefined;

/** A colour of the style sheet, as it is in the present theme. */
export function colour(name: string): string {
  colours ??= getComputedStyle(document.documentElement);
  return colours.getPropertyValue(`--${name}`);
}

/** What all charts have in common. */
const LOOKS = {
  legend: { show: false },
  cursor: { show: false },
  padding: [8, 20, 0, 0],
  height: HEIGHT,
} satisfies Partial<uPlot.Options>;

export type PlotOptions = Omit<uPlot.Options, "width" | keyof typeof LOOKS>;

/** A chart that follows its host's width and the theme, and draws the newest data at most once a frame. */
export class Plot {
  #plot: uPlot | undefined;
  #loading = false;
  #data: uPlot.AlignedData;
  #waiting = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly host: HTMLElement,
    readonly options: PlotOptions,
    empty: uPlot.AlignedData,
  ) {
    this.#data = empty;
  }

  /** Makes the chart, the first time. Until then nothing is drawn. */
  load(): void {
    if (this.#loading) return;
    this.#loading = true;
    // The library and each chart in tasks of their own: to load and to create them takes longer than to draw.
    import("uplot").then(
      (library) => setTimeout(() => this.#create(library.default)),
      (error: Error) => {
        // As text, because a screen reader does not read an image.
        this.host.removeAttribute("role");
        this.host.append(`The chart library could not be loaded: ${error.message}`);
      },
    );
  }

  /** @param final whether it must be drawn now, because it may be the last */
  show(data: uPlot.AlignedData, final: boolean): void {
    this.#data = data;
    if (this.#plot === undefined || (this.#waiting && !final)) return;
    const wait = calm.matches && !final ? this.#drawnAt + CALM_MILLISECONDS - performance.now() : 0;
    this.#waiting = true;
    setTimeout(() => requestAnimationFrame(() => this.#draw()), Math.max(0, wait));
  }

  #create(Library: typeof uPlot): void {
    const { host } = this;
    const plot = new Library({ ...LOOKS, ...this.options, width: host.clientWidth }, this.#data, host);
    this.#plot = plot;
    new ResizeObserver(() => {
      if (host.clientWidth !== plot.width) plot.setSize({ width: host.clientWidth, height: HEIGHT });
    }).observe(host);
    dark.addEventListener("change", () => plot.redraw(false, true));
  }

  #draw(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#drawnAt = performance.now();
    this.#plot!.setData(this.#data);
  }
}

/** An axis with ticks at the given values. `size`: their width beside the chart, in pixels. */
export function axis(
  label: string,
  ticks: readonly number[],
  values: (tick: number) => string,
  size: number,
): uPlot.Axis {
  return {
    label,
    size,
    labelSize: 20,
    gap: 6,
    labelFont: FONT,
    font: FONT,
    stroke: () => colour("muted"),
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { show: false },
    border: { show: true, stroke: () => colour("rule"), width: 1 },
    splits: (_plot, _axis, low, high) => ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001),
    values: (_plot, splits) => splits.map(values),
  };
}

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
