import { fail, quote, show } from "../checks/errors.js";

/**
 * Reads JSON of a known structure and refuses all other JSON, naming the position. Refuses also what `JSON.parse` accepts:
 * repeated keys, integers that a double cannot hold, numbers that overflow. Builds nothing that was not asked for, so a hostile
 * text needs no more memory than an honest one.
 */
export class JsonReader {
  #at = 0;

  /** @param label what the text is, for messages */
  constructor(
    readonly label: string,
    readonly text: string,
  ) {}

  /** Where the next value begins, in UTF-16 units. */
  get position(): number {
    this.#skipSpace();
    return this.#at;
  }

  /** Calls `member` for each key; it must read the value. */
  object(member: (key: string) => void): void {
    const keys = new Set<string>();
    this.#list("{", "}", "an object", () => {
      const key = this.string();
      if (keys.has(key)) this.#fail("every key once", `${show(key)} again`);
      keys.add(key);
      if (!this.#take(":")) this.#unexpected('":"');
      member(key);
    });
  }

  /** What `item` returns for each element, which it must read. */
  array<T>(item: () => T): T[] {
    const items: T[] = [];
    this.#list("[", "]", "an array", () => void items.push(item()));
    return items;
  }

  string(): string {
    const start = this.position;
    if (!this.#take('"')) this.#unexpected("a string");
    for (;;) {
      const code = this.text.charCodeAt(this.#at++);
      if (Number.isNaN(code)) this.#fail("the end of the string", "the end of the text");
      if (code === 0x5c) this.#at++;
      else if (code === 0x22) break;
    }
    const literal = this.text.slice(start, this.#at);
    try {
      return JSON.parse(literal) as string;
    } catch (cause) {
      this.#at = start;
      this.#fail("a string with legal escapes", show(literal), cause);
    }
  }

  /** A finite number. */
  number(): number {
    const value = Number(this.#match(/-?(?:0|[1-9]\d{0,400})(?:\.\d{1,800})?(?:[eE][+-]?\d{1,8})?/y, "a number"));
    if (!Number.isFinite(value)) this.#fail("a number that fits a double", "one that overflows");
    return value;
  }

  /** An integer from 0 to 2^53 - 1, written as its digits. */
  count(): number {
    const digits = this.#match(/(?:0|[1-9]\d{0,15})(?![\d.eE])/y, "an integer from 0 to 2^53 - 1");
    const value = Number(digits);
    if (!Number.isSafeInteger(value)) this.#fail("an integer from 0 to 2^53 - 1", digits);
    return value;
  }

  boolean(): boolean {
    return this.#match(/true|false/y, "true or false") === "true";
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.position < this.text.length) this.#unexpected("nothing more");
  }

  unknownKey(key: string, known: readonly string[]): never {
    this.#fail(`only the keys ${known.join(", ")}`, `the key ${quote(key)}`);
  }

  #list(open: string, close: string, what: string, each: () => void): void {
    if (!this.#take(open)) this.#unexpected(what);
    if (this.#take(close)) return;
    do each();
    while (this.#take(","));
    if (!this.#take(close)) this.#unexpected(`"," or "${close}"`);
  }

  #take(char: string): boolean {
    const found = this.text[this.position] === char;
    if (found) this.#at++;
    return found;
  }

  #match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) this.#unexpected(what);
    this.#at += found.length;
    return found;
  }

  #skipSpace(): void {
    for (; ; this.#at++) {
      const code = this.text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }

  #unexpected(expected: string): never {
    const rest = this.text.slice(this.position, this.#at + 20);
    this.#fail(expected, rest === "" ? "the end of the text" : quote(rest));
  }

  #fail(expected: string, got: string, cause?: unknown): never {
    fail(RangeError, "ERR_CHECKPOINT", this.label, expected, `${got} at character ${this.#at}`, cause);
  }
}
