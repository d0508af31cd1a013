/*
 * While the loader and nothing else is evaluated, two global names stand for something else, where the host needs that:
 *
 * - The loader assigns `Object.hasOwn`, whether it is there or not. That throws where intrinsics are frozen (Node's
 *   --frozen-intrinsics, SES), so `Object` is an object that takes the assignment and inherits all the rest.
 * - It makes a `TextDecoder`, for strings of AssemblyScript, of which our modules have none. AudioWorklets and jest's jsdom lack that
 *   class, so there is an empty one.
 */
const real = globalThis.Object;
const isFixed = real.getOwnPropertyDescriptor(real, "hasOwn")?.writable === false;
const isMissing = typeof TextDecoder !== "function";

if (isFixed) globalThis.Object = real.create(real, { hasOwn: { value: real.hasOwn, writable: true } });
if (isMissing) globalThis.TextDecoder = class {} as unknown as typeof TextDecoder;

export function lowerShield(): void {
  if (isFixed) globalThis.Object = real;
  if (isMissing) Reflect.deleteProperty(globalThis, "TextDecoder");
}
