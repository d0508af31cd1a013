/** With separated thousands: 12,345. Not by `toLocaleString`, whose first use takes longer than a frame. */
export const count = (value: number): string => {
  const [whole, rest] = String(value).split(".") as [string, string?];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? grouped : `${grouped}.${rest}`;
};

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** So many digits after the point; words for what is not finite. */
export const fixed = (value: number | undefined, digits = 3): string => {
  if (value === undefined) return "–";
  return Number.isFinite(value) ? value.toFixed(digits) : "not finite";
};

/** Two or three significant digits, as short as possible. */
export const short = (value: number, digits = 3): string => {
  if (!Number.isFinite(value)) return "–";
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? rounded.toExponential() : count(rounded);
};

/** Four digits, zeros at the end included, where there is a decimal point. */
export const multiple = (value: number): string => {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 1000 ? count(Math.round(value)) : value.toPrecision(4);
};

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
