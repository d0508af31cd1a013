/** An object without a prototype. Hosts read inherited fields of a descriptor too, and `Object.prototype` may be polluted. */
export function bare<T extends object>(fields: T): T {
  return Object.assign(Object.create(null), fields);
}

/** Built-in getters of typed arrays: own properties of an array do not shadow them, and they take arrays of other realms. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
const accessor =
  <T>(key: PropertyKey) =>
  (value: unknown): T =>
    Object.getOwnPropertyDescriptor(typedArray, key)!.get!.call(value);

/** "Float32Array" and the like; undefined for what is no typed array. */
export const typedArrayName = accessor<string | undefined>(Symbol.toStringTag);
export const bufferOf = accessor<ArrayBuffer>("buffer");
export const offsetOf = accessor<number>("byteOffset");
export const lengthOf = accessor<number>("length");

/** `Array.isArray`, which throws for a revoked proxy. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** The `length` of an array, or of what is like one; undefined for everything else, null and a revoked proxy among it. */
export function listLength(value: unknown): unknown {
  try {
    return (value as ArrayLike<unknown>).length;
  } catch {
    return undefined;
  }
}

/** "Map", "Promise", "Object": what `Object.prototype.toString` says. */
export function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
