import { mkdirSync, writeFileSync } from "node:fs";
import { table } from "../examples/shared/table.js";
import { describeHost, watchOthers } from "./host.js";
import { formatSpread, ratio, type Samples, type Spread, short, spread } from "./measure.js";
import { Terminal } from "./terminal.js";

/** How one contender did at one size. */
export interface Timing {
  readonly section: string;
  readonly length: number;
  readonly contender: string;
  /** Nanoseconds per parameter. */
  readonly ns: Spread;
  /** 10^9 bytes per second that a step has to move at least; null where that is not known. */
  readonly gigabytes: number | null;
  /** Its time divided by the baseline's, round by round; null for the baseline itself. */
  readonly ratio: (Spread & { readonly to: string }) | null;
}

export interface Row {
  readonly section: string;
  readonly length: number;
  readonly figures: Readonly<Record<string, number | string>>;
}

export interface Goal {
  readonly goal: string;
  readonly reached: boolean;
  readonly saw: string;
}

/** What `npm run bench` leaves in build/bench.json. */
export interface Results {
  readonly complete: boolean;
  readonly host: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  readonly timings: readonly Timing[];
  readonly rows: readonly Row[];
  readonly goals: readonly Goal[];
}

/** Collects figures, prints them as they come, and saves them as a JSON file. */
export class Report {
  readonly #terminal: Terminal;
  readonly #host = describeHost();
  readonly #others = watchOthers();
  readonly #notes: string[] = [];
  readonly #timings: Timing[] = [];
  readonly #rows: Row[] = [];
  readonly #goals: Goal[] = [];

  constructor(terminal = new Terminal()) {
    this.#terminal = terminal;
    for (const [what, value] of Object.entries(this.#host)) terminal.print(`${what}: ${value}`);
  }

  /** Says what the run is doing. */
  status(activity: string, detail?: string): void {
    this.#terminal.status(activity, detail);
  }

  /** Adds a remark that a reader of the figures needs. */
  note(text: string): void {
    if (this.#notes.includes(text)) return;
    this.#notes.push(text);
    this.#terminal.print(text);
  }

  /**
   * A table of contenders at one size.
   *
   * @param samples nanoseconds per call, a call being `steps` steps
   * @param baseline whose time the others' are divided by
   * @param traffic bytes per parameter and step
   */
  timings(
    section: string,
    length: number,
    samples: Samples,
    baseline: string,
    { traffic = () => undefined, steps = 1 }: { traffic?: (name: string) => number | undefined; steps?: number } = {},
  ): void {
    const timings = [...samples].map(([contender, values]): Timing => {
      const ns = spread(values.map((value) => value / length / steps));
      const bytes = traffic(contender);
      const gigabytes = bytes === undefined ? null : bytes / ns.median;
      const versus = contender === baseline ? null : { to: baseline, ...ratio(samples, contender, baseline) };
      return { section, length, contender, ns, gigabytes, ratio: versus };
    });
    this.#timings.push(...timings);
    this.#terminal.print(`\n${section}, ${length.toLocaleString("en")} parameters\n${timingTable(timings)}`);
  }

  row(section: string, length: number, figures: Row["figures"]): void {
    this.#rows.push({ section, length, figures });
    const cells = Object.entries(figures).map(
      ([name, value]) => `${name} ${typeof value === "string" ? value : short(value)}`,
    );
    this.#terminal.print(`\n${section}, ${length.toLocaleString("en")} parameters\n${cells.join(" · ")}`);
  }

  goal(goal: string, reached: boolean, saw: string): void {
    this.#goals.push({ goal, reached, saw });
    this.#terminal.print(`${reached ? "reached" : "MISSED "}  ${goal}: ${saw}`);
  }

  /** @param complete whether this was a full run, whose figures may be published */
  results(complete: boolean): Results {
    const others = `${(100 * this.#others()).toFixed(0)} % of the cores`;
    return {
      complete,
      host: { ...this.#host, "other processes used meanwhile": others },
      notes: this.#notes,
      timings: this.#timings,
      rows: this.#rows,
      goals: this.#goals,
    };
  }

  save(path: URL, complete: boolean): Results {
    const results = this.results(complete);
    mkdirSync(new URL(".", path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
    const reached = this.#goals.filter((goal) => goal.reached).length;
    this.#terminal.print(
      `\n${reached} of ${this.#goals.length} goals reached; other processes used ${results.host["other processes used meanwhile"]}`,
    );
    return results;
  }
}

export function timingTable(timings: readonly Timing[]): string {
  const baseline = timings.find(({ ratio }) => ratio !== null)?.ratio?.to;
  return table(
    ["", "ns per parameter", "GB/s", baseline === undefined ? "" : `÷ ${baseline}`],
    timings.map(({ contender, ns, gigabytes, ratio }) => [
      contender,
      formatSpread(ns),
      gigabytes === null ? "" : short(gigabytes),
      ratio === null ? "" : formatSpread(ratio),
    ]),
  );
}
