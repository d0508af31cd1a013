/** Lines of the runs, in the order of `LABELS`: colours, and dashes for readers who cannot tell colours apart. */
export const STYLES = [
  { colour: "adamw", dash: [] },
  { colour: "l2", dash: [] },
  { colour: "adam", dash: [5, 4] },
] as const;
