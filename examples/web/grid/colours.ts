/** viridis (van der Walt & Smith 2015), of which one can tell by lightness alone which colour is higher; every eighth of the way. */
const STOPS = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
] as const;

/** A background for a share from 0 to 1, and the one of black and white that stands out more on it. */
export function colours(share: number): { readonly background: string; readonly text: "black" | "white" } {
  const at = Math.min(1, Math.max(0, share)) * (STOPS.length - 1);
  const left = Math.min(Math.floor(at), STOPS.length - 2);
  const mixed = STOPS[left]!.map((from, i) => Math.round(from + (at - left) * (STOPS[left + 1]![i]! - from)));
  return { background: `rgb(${mixed.join(" ")})`, text: luminance(mixed) > 0.179 ? "black" : "white" };
}

/** Relative luminance as in WCAG 2. At 0.179 black and white have the same contrast. */
function luminance(channels: readonly number[]): number {
  const [red, green, blue] = channels.map((value) => {
    const channel = value / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}
