import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

type Cell = number | string;

/** Collects figures, prints them as they come, and ends as one JSON file. */
export class Report {
  readonly #rows: { bench: string; length: number; figures: Record<string, Cell> }[] = [];
  readonly #goals: { goal: string; reached: boolean; saw: string }[] = [];

  /** Which machine and engine the figures are of. */
  readonly host = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    v8: process.versions.v8,
    date: new Date().toISOString().slice(0, 10),
  };

  constructor() {
    const { cpu, cores, memory, node, v8 } = this.host;
    console.log(`${cpu}, ${cores} cores, ${memory}; Node ${node}, V8 ${v8}`);
  }

  row(bench: string, length: number, figures: Record<string, Cell>): void {
    this.#rows.push({ bench, length, figures });
    const cells = Object.entries(figures).map(([name, value]) => `${name} ${format(value)}`);
    console.log(`${bench} · ${length.toLocaleString("en")} · ${cells.join(" · ")}`);
  }

  goal(goal: string, reached: boolean, saw: string): void {
    this.#goals.push({ goal, reached, saw });
    console.log(`  ${reached ? "reached" : "MISSED "}  ${goal}: ${saw}`);
  }

  save(path: string): void {
    mkdirSync(new URL(".", path), { recursive: true });
    const json = { host: this.host, rows: this.#rows, goals: this.#goals };
    writeFileSync(new URL(path), `${JSON.stringify(json, null, 2)}\n`);
    console.log(`${this.#goals.filter(({ reached }) => reached).length} of ${this.#goals.length} goals reached`);
  }
}

function format(value: Cell): string {
  return typeof value === "string" ? value : value.toPrecision(3);
}
