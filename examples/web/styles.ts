/** How the runs look, in the order of `LABELS`: by colour, and by dashes for those who cannot tell colours apart. */
export const STYLES = [
  { colour: "adamw", dash: [] },
  { colour: "l2", dash: [] },
  { colour: "adam", dash: [5, 4] },
] as const;
