const said = new Set<string>();

/** Warns once per process and message, whatever the details are. */
export function warnOnce(message: string, ...details: readonly unknown[]): void {
  if (said.has(message)) return;
  said.add(message);
  console.warn(`fused-adam: ${message}`, ...details);
}
