import type { Browser, Page } from "playwright-core";

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds on the clock, and on the processor. */
  readonly dur?: number;
  readonly tdur?: number;
}

export interface MainThread {
  /** Durations of the long-task entries, which are tasks above 50 ms on the clock. */
  readonly longTasks: readonly number[];
  /** The most processor time that any task took, in milliseconds. */
  readonly longest: number;
  /** Processor time of all tasks, as a share of their time on the clock: less than 1 where others had the processor. */
  readonly share: number;
}

declare const longTasks: number[];

/** Watches what the main thread of a page does, from before it is opened until the returned function is called. */
export async function watchMainThread(browser: Browser, page: Page): Promise<() => Promise<MainThread>> {
  await page.addInitScript(() => {
    const found: number[] = [];
    Object.assign(globalThis, { longTasks: found });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) found.push(duration);
    }).observe({ type: "longtask", buffered: true });
  });
  await browser.startTracing(page, { categories: ["toplevel", "blink.user_timing", "__metadata"] });
  return async () => {
    // The browser has pages of its own: the mark tells which thread is this one's.
    const entries = await page.evaluate(() => {
      performance.mark("watched");
      return [...longTasks];
    });
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    const mark = traceEvents.find(({ name }) => name === "watched")!;
    const tasks = traceEvents.filter(
      ({ name, pid, tid }) => name.endsWith("RunTask") && pid === mark.pid && tid === mark.tid,
    );
    if (tasks.length < 100) throw new Error(`expected hundreds of tasks on the main thread, found ${tasks.length}`);
    const sum = (time: (task: TraceEvent) => number | undefined) => tasks.reduce((s, task) => s + (time(task) ?? 0), 0);
    return {
      longTasks: entries,
      longest: Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1000,
      share: sum(({ tdur }) => tdur) / sum(({ dur }) => dur),
    };
  };
}
