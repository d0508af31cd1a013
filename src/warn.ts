const said = new Set<string>();

/** Says a thing once per process, however many optimizers meet it. */
export function warnOnce(message: string): void {
  if (said.has(message)) return;
  said.add(message);
  console.warn(`fused-adam: ${message}`);
}
