/** What all runs came to: a table, the reasons for what was skipped, and three numbers. */
import type { FileResult, TestResult } from "./engine/result.js";

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** The tests of one file in one place: an engine, and how it is set up. */
export interface Outcome {
  readonly place: string;
  readonly file: string;
  readonly result: FileResult;
}

const NONE: Totals = { passed: 0, failed: 0, skipped: 0 };
const ERROR_LINES = 12;
/** Of one file, for one reason; all are in build/everywhere/results.json. */
const NAMES = 6;

export class Report {
  readonly outcomes: Outcome[] = [];
  readonly #started = Date.now();

  /** @param files all there are; no place needs to run all */
  constructor(readonly files: readonly string[]) {}

  add(outcome: Outcome): void {
    this.outcomes.push(outcome);
    const { place, file, result } = outcome;
    if (result.error !== undefined) complain(`${place}: ${file}`, result.error);
    for (const { name, note } of result.tests.filter(({ state }) => state === "failed")) {
      complain(`${place}: ${file} > ${name}`, note ?? "");
    }
  }

  /** An engine that is not there: a failure, because nobody notices what is only skipped. */
  addAbsent(engine: string, why: string): void {
    this.add({ place: engine, file: "", result: { tests: [], error: `${why}; or name the engines to run` } });
  }

  get totals(): Totals {
    return this.#sum(this.outcomes);
  }

  /** Adds a failure for every file that has fewer tests in one place than in another, and every place where none passed. */
  checkPlaces(): void {
    for (const { place, file, result } of [...this.outcomes]) {
      const { skipped, error, tests } = result;
      if (skipped !== undefined || error !== undefined || tests.length === this.#size(file)) continue;
      this.#addError(place, file, `${tests.length} tests, elsewhere it has ${this.#size(file)}`);
    }
    for (const [place, outcomes] of groupBy(this.outcomes, ({ place }) => place)) {
      const { passed, failed } = this.#sum(outcomes);
      if (passed + failed === 0) this.#addError(place, "", "no test was executed here");
    }
  }

  print(): void {
    const places = groupBy(this.outcomes, ({ place }) => place);
    const table = [["place", "files", "passed", "failed", "skipped", "seconds"]];
    for (const [place, outcomes] of places) {
      const { passed, failed, skipped } = this.#sum(outcomes);
      const times = outcomes.flatMap(({ result }) => result.tests.map(({ milliseconds }) => milliseconds));
      const seconds = times.reduce((sum, time) => sum + time / 1000, 0).toFixed(0);
      const ran = new Set(outcomes.map(({ file }) => file)).size;
      table.push([place, `${ran} of ${this.files.length}`, ...[passed, failed, skipped].map(String), seconds]);
    }
    const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
    for (const row of table) {
      console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "));
    }
    this.#printSelections(places);
    this.#printSkips();
    console.log(`\nin ${Math.round((Date.now() - this.#started) / 1000)} s`);
  }

  /** Which files the places that do not have all of them do have. */
  #printSelections(places: Map<string, Outcome[]>): void {
    const selections = [...places].map(([place, outcomes]) => ({
      place,
      files: [...new Set(outcomes.map(({ file }) => file))].sort(),
    }));
    const partial = selections.filter(({ files }) => files.length < this.files.length);
    for (const [files, some] of groupBy(partial, ({ files }) => files.map(short).join(" "))) {
      console.log(
        `\nOnly what can go otherwise there ran in ${some.map(({ place }) => place).join("; ")}:\n  ${files}`,
      );
    }
  }

  #printSkips(): void {
    console.log("\nSkipped, why, and in how many places (test by test in build/everywhere/results.json):");
    const skipped = this.outcomes.flatMap((outcome) => this.#skippedIn(outcome));
    for (const [why, cases] of groupBy(skipped, ({ why }) => why)) {
      console.log(`  ${why}: ${cases.reduce((count, one) => count + one.count, 0)}`);
      for (const [file, some] of groupBy(cases, ({ file }) => file)) {
        const names = [...groupBy(some, ({ name }) => name)];
        if (names.length > NAMES) console.log(`    ${some.length} of ${names.length} tests of ${file}`);
        else for (const [name, runs] of names) console.log(`    ${runs.length} x ${file}${name}`);
      }
    }
  }

  #addError(place: string, file: string, error: string): void {
    this.add({ place, file, result: { tests: [], error } });
  }

  #sum(outcomes: readonly Outcome[]): Totals {
    return outcomes
      .map((outcome) => this.#totalsOf(outcome))
      .reduce(
        (a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }),
        NONE,
      );
  }

  /** A file that could not run counts as many tests as it has where it could. */
  #totalsOf({ file, result: { tests, skipped, error } }: Outcome): Totals {
    if (skipped !== undefined) return { ...NONE, skipped: this.#size(file) };
    const count = (state: TestResult["state"]) => tests.filter((test) => test.state === state).length;
    return {
      passed: count("passed"),
      failed: count("failed") + (error === undefined ? 0 : 1),
      skipped: count("skipped"),
    };
  }

  /** By test; by file where one reason goes for all of it. */
  #skippedIn({ file, result }: Outcome): { file: string; name: string; why: string; count: number }[] {
    const whole = { file: short(file), name: "" };
    if (result.skipped !== undefined) return [{ ...whole, why: result.skipped, count: this.#size(file) }];
    const left = result.tests
      .filter(({ state }) => state === "skipped")
      .map(({ name, note = "by the test itself" }) => ({ ...whole, name: ` > ${name}`, why: note, count: 1 }));
    const [first] = left;
    const isWhole =
      left.length > 0 && left.length === result.tests.length && left.every(({ why }) => why === first!.why);
    return isWhole ? [{ ...whole, why: first!.why, count: left.length }] : left;
  }

  /** How many tests a file has. */
  #size(file: string): number {
    const sizes = this.outcomes.filter((outcome) => outcome.file === file).map(({ result }) => result.tests.length);
    return Math.max(1, ...sizes);
  }
}

/** Without what all files have in common. */
function short(file: string): string {
  return file.replace(/^test\//, "").replace(/\.test\.ts$/, "");
}

function complain(where: string, error: string): void {
  console.log(`FAILED ${where}\n${error.replace(/^/gm, "    ").split("\n").slice(0, ERROR_LINES).join("\n")}`);
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return groups;
}
