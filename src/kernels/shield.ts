/*
 * The loader, when it is evaluated, assigns `Object.hasOwn`, be it there or not, and that throws where intrinsics are frozen
 * (Node's --frozen-intrinsics, SES). There, while the loader and nothing else is evaluated, the global name stands for an object
 * that takes the assignment and inherits all the rest.
 */
const real = globalThis.Object;
const isFixed = real.getOwnPropertyDescriptor(real, "hasOwn")?.writable === false;

if (isFixed) globalThis.Object = real.create(real, { hasOwn: { value: real.hasOwn, writable: true } });

export function lowerShield(): void {
  if (isFixed) globalThis.Object = real;
}
