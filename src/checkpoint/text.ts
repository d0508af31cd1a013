import { fail, failRange, failType } from "../checks/errors.js";
import { checkRecord } from "../checks/values.js";

/** What checkpoints need of a host, and most have. Asked for when it is used: imports work everywhere. */
type Coder = "TextDecoder" | "TextEncoder";

/** @throws Error `ERR_HOST` where there is none, as in AudioWorklets and in jest's jsdom */
function coder<T extends Coder>(name: T): (typeof globalThis)[T] {
  const Class = globalThis[name];
  if (typeof Class !== "function") {
    const got =
      "none: assign one to globalThis (Node has both in node:util), or call this where there is one, as in a page";
    fail(Error, "ERR_HOST", name, "a global of this name, which safetensors files need", got);
  }
  return Class;
}

export function encodeUtf8(text: string): Uint8Array {
  return new (coder("TextEncoder"))().encode(text);
}

/** @throws TypeError for bytes that are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
  return new (coder("TextDecoder"))("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Half of a pair of surrogates cannot be written as UTF-8, and Python's readers refuse it. */
export function checkText(label: string, text: string): void {
  if (/\p{Surrogate}/u.test(text)) failRange(label, "text without half of a surrogate pair", text);
}

/** Texts by name, for a file's metadata. */
export function checkTexts(label: string, value: unknown): Map<string, string> {
  const entries = Object.entries(checkRecord(label, value, "an object of strings") as Record<string, unknown>);
  for (const [key, text] of entries) {
    checkText(label, key);
    if (typeof text !== "string") failType(`${label}.${key}`, "a string", text);
    checkText(`${label}.${key}`, text);
  }
  return new Map(entries as [string, string][]);
}
