/**
 * Lines of the runs, in the order of `LABELS`, and of the one in another width: colours, dashes for readers who cannot tell colours
 * apart, and the size of circles. The last one lies on the first, of which something has to be seen.
 */
export const STYLES = [
  { colour: "adamw", dash: [], circle: 7 },
  { colour: "l2", dash: [], circle: 7 },
  { colour: "adam", dash: [5, 4], circle: 7 },
  { colour: "half", dash: [2, 6], circle: 3 },
] as const;
