/** For what is easily done to an optimizer by mistake, and would otherwise do nothing without a word. */
import { bare } from "../checks/builtins.js";
import { fail } from "../checks/errors.js";
import { ADAM_KEYS } from "../checks/hyper.js";

/**
 * To be thrown by a method `toJSON` that is a property of the object itself: `structuredClone` and `postMessage` then throw as well,
 * because they refuse functions. Without one they give an object with nothing in it. Chromium and Node show the function's source in
 * their message, so what is expected should stand in it literally.
 */
export function failJson(expected: string): never {
  fail(TypeError, "ERR_INVALID_TYPE", "JSON.stringify", expected, "an optimizer");
}

/** Refuses hyper-parameters that are assigned to an optimizer. Subclasses may define properties of such names. */
export function trapHyper(prototype: object, expected: (key: string) => string): void {
  for (const key of ADAM_KEYS) {
    const set = () => fail(Error, "ERR_FIXED_OPTION", key, expected(key), "an assignment to the optimizer");
    Object.defineProperty(prototype, key, bare({ configurable: true, set }));
  }
}
