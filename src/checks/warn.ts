const said = new Set<string>();

/** Says a thing once per process, however many optimizers meet it, and whatever details they meet it with. */
export function warnOnce(message: string, ...details: readonly unknown[]): void {
  if (said.has(message)) return;
  said.add(message);
  console.warn(`fused-adam: ${message}`, ...details);
}
