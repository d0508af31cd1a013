import type { WriteStream } from "node:tty";

/** Prints lines, and below them a status line: rewritten on a terminal, left out of files and pipes. */
export class Terminal {
  readonly #out: Pick<WriteStream, "write" | "isTTY" | "columns">;
  #status = "";

  constructor(out: Pick<WriteStream, "write" | "isTTY" | "columns"> = process.stdout) {
    this.#out = out;
  }

  print(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  /** Sets the status line; `detail` changes often and is shown on a terminal only. */
  status(activity: string, detail = ""): void {
    if (!this.#out.isTTY) {
      if (activity !== this.#status) this.#out.write(`${activity}\n`);
      this.#status = activity;
      return;
    }
    this.#clear();
    this.#status = `${activity} ${detail}`.slice(0, this.#out.columns - 1);
    this.#out.write(this.#status);
  }

  #clear(): void {
    if (this.#out.isTTY && this.#status !== "") this.#out.write("\r\x1b[K");
    if (this.#out.isTTY) this.#status = "";
  }
}

/** A Markdown table with aligned columns, to be read in a terminal as well. The first column is text, the others are figures. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(header), rule, ...rows.map(line)].join("\n");
}
