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
