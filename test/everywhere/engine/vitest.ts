/** Stands in for "vitest" where vitest does not run: its own runner, assertions and spies, without its command line. */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  addCustomEqualityTesters,
  ChaiStyleAssertions,
  customMatchers,
  type ExpectStatic,
  GLOBAL_EXPECT,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from "@vitest/expect";
import { getCurrentTest } from "@vitest/runner";
import { fn, isMockFunction, restoreAllMocks, spyOn } from "@vitest/spy";
import * as chai from "chai";
import { CONFIG } from "./config.js";

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, onTestFinished, test } from "@vitest/runner";

/** Longer times are granted; shorter ones are not for every engine. */
function setConfig(times: { testTimeout?: number; hookTimeout?: number }): void {
  for (const key of ["testTimeout", "hookTimeout"] as const) CONFIG[key] = Math.max(CONFIG[key], times[key] ?? 0);
}

export const vi = { fn, isMockFunction, restoreAllMocks, setConfig, spyOn };

for (const plugin of [JestExtend, JestChaiExpect, ChaiStyleAssertions, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = ((value: unknown, message?: string) => {
  setState({ assertionCalls: getState(expect).assertionCalls + 1 }, expect);
  const assertion = chai.expect(value, message) as unknown as { withTest(test: unknown): unknown };
  const test = getCurrentTest();
  return test === undefined ? assertion : assertion.withTest(test);
}) as unknown as ExpectStatic;

const scope = globalThis as Record<symbol, object>;
Object.assign(expect, chai.expect, scope[ASYMMETRIC_MATCHERS_OBJECT], {
  getState: () => getState(expect),
  extend: (matchers: object) =>
    (chai.expect as unknown as { extend(on: unknown, matchers: object): void }).extend(expect, matchers),
  addEqualityTesters: addCustomEqualityTesters,
});
setState({ assertionCalls: 0, isExpectingAssertions: false, expectedAssertionsNumber: null }, expect);
expect.extend(customMatchers);
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, writable: true, configurable: true });
