/**
 * What an engine does not have. A test that asked for it is skipped by name, whatever it then made of the error: caught by
 * an assertion it would count for one of ours.
 */
const asked = new Set<string>();

export function absent(what: string): never {
  asked.add(what);
  throw new Error(`needs ${what}`);
}

/** What was asked for in vain since the last call. */
export function askedInVain(): string | undefined {
  if (asked.size === 0) return undefined;
  const what = [...asked].join(", ");
  asked.clear();
  return `needs ${what}`;
}
