import type { Reporter } from "vitest/node";

/** Says after a run why tests were left out: by `unless`, or by `skip` within the test. */
export const skips: Reporter = {
  onTestRunEnd(modules) {
    const counts = new Map<string, number>();
    for (const test of modules.flatMap((module) => [...module.children.allTests("skipped")])) {
      const { note } = test.result() as { note?: string };
      const why = test.meta().why ?? note;
      if (why !== undefined) counts.set(why, (counts.get(why) ?? 0) + 1);
    }
    for (const [why, count] of counts) console.log(`skipped: ${why}: ${count}`);
  },
};
