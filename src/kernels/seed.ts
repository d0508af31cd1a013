/**
 * What the moments of 16 bits of a parameter are rounded with in its step t: the low bits of t, mixed so that each of them changes
 * every bit by chance (fmix32 of MurmurHash3).
 */
export function seedOf(step: number): number {
  let hash = Math.imul(step, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
