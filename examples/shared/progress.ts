const WIDTH = 24;
const REDRAW_MILLISECONDS = 80;

/**
 * Shows the progress of a job: a bar on a terminal; in logs and pipes a line for every quarter.
 * Every job must report `done === total` at its end.
 */
export function createProgress(label: string, out: NodeJS.WriteStream = process.stdout) {
  let drawn = 0;
  let quarters = 0;
  return (done: number, total: number, detail: () => string): void => {
    if (out.isTTY) {
      const now = performance.now();
      if (done < total && now - drawn < REDRAW_MILLISECONDS) return;
      drawn = now;
      const filled = Math.floor((done / total) * WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
      out.write(`\r\x1b[K${label} ${bar} ${detail()}${done === total ? "\n" : ""}`);
    } else if (Math.floor((4 * done) / total) > quarters) {
      quarters = Math.floor((4 * done) / total);
      out.write(`${label} ${detail()}\n`);
    }
  };
}
