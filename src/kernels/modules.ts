import { LOADED, LOADERS, SHARED_IMPORT, UNSHARED_IMPORT } from "../generated/modules.js";
import type * as halfCode from "./halves.js";
import type { MODULES } from "./moduleTable.js";

export type ModuleKind = keyof typeof MODULES;
type Halves = typeof halfCode;

/** The modules' bytes as hexadecimal digits, as far as they are here. */
const texts: { [K in ModuleKind]?: string } = { ...LOADED };
/** Here whenever a module for formats of 16 bits is. */
let code: Halves | undefined;

export function isLoaded(kind: ModuleKind): boolean {
  return texts[kind] !== undefined;
}

/** The code for formats of 16 bits, once a module for them is loaded. */
export function halves(): Halves {
  return code!;
}

/** For a host that has the modules from the start, which bundles for pages keep apart until somebody asks for them. */
export function provideModules(more: { readonly [K in ModuleKind]?: string }, half: Halves): void {
  code = half;
  Object.assign(texts, more);
}

/** Fetches a module; afterwards it is loaded. */
export async function load(kind: ModuleKind): Promise<void> {
  if (kind.startsWith("half")) code ??= await import("./halves.js");
  if (kind in LOADERS) texts[kind] ??= (await LOADERS[kind as keyof typeof LOADERS]()).HEX;
}

/** The bytes of a module that is loaded. One for shared memory differs in nothing but the memory it imports; the build sees to that. */
export function bytesOf(kind: ModuleKind, shared: boolean): Uint8Array<ArrayBuffer> {
  const text = texts[kind]!;
  const hex = shared ? text.replace(UNSHARED_IMPORT, SHARED_IMPORT) : text;
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
