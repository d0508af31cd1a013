/** What every consumer does with the package, handed over because each gets at it in its own way. */
export const LENGTHS = { weight: 70_001, bias: 17 };
export const STEPS = 6;
export const OPTIONS = { weightDecay: 0.05, clipNorm: 3, rate: { lr: 0.01, steps: STEPS } };

/** Multiples of 2^-10: the same numbers everywhere. */
export function values(length, seed) {
  return Float32Array.from({ length }, (_, i) => (((i + 1) * (7919 + seed)) % 2001) / 1024 - 1);
}

/** Trains on two threads, saves half-way and goes on from the checkpoint; and loads what is loaded only when it is asked for. */
export async function train({ AdamW, cosine, encodeCheckpoint, loadCheckpoint, preload }, how) {
  const entries = Object.entries(LENGTHS);
  const create = () => {
    const params = Object.fromEntries(entries.map(([name, length], i) => [name, values(length, i)]));
    return AdamW.create(params, { threads: 2, lr: cosine(OPTIONS.rate), weightDecay: OPTIONS.weightDecay });
  };
  let optimizer = await create();
  for (let step = 0; step < STEPS; step++) {
    if (step === STEPS / 2) {
      const bytes = encodeCheckpoint(optimizer, { params: true });
      optimizer.dispose();
      optimizer = await create();
      loadCheckpoint(optimizer, bytes);
    }
    for (const [i, [name, length]] of entries.entries()) optimizer.grad(name).set(values(length, 10 * step + i + 2));
    await optimizer[how]({ clipNorm: OPTIONS.clipNorm, zeroGrad: true });
  }
  const { kernel, threads } = optimizer;
  const digest = await digestOf(entries.map(([name]) => optimizer.param(name).slice()));
  optimizer.dispose();
  // In a bundle these are a file of their own.
  const relaxed = await preload({ kernel: "relaxed" }).then(() => "loaded", String);
  return { kernel, threads, relaxed, digest };
}

export async function digestOf(arrays) {
  const bytes = new Uint8Array(await new Blob(arrays).arrayBuffer());
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
