/** Thousands apart: 12,345. By hand: the first use of a locale takes longer than a frame. */
export const count = (value: number): string => {
  const [whole, rest] = String(value).split(".") as [string, string?];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? grouped : `${grouped}.${rest}`;
};

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Three digits after the point; what is not a number is said. */
export const fixed = (value: number | undefined): string => {
  if (value === undefined) return "–";
  return Number.isFinite(value) ? value.toFixed(3) : "not finite";
};

/** Two or three significant digits, as short as they come. */
export const short = (value: number, digits = 3): string => {
  if (!Number.isFinite(value)) return "–";
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? rounded.toExponential() : count(rounded);
};

/** Four digits, all of them shown, as long as there is a point among them. */
export const multiple = (value: number): string => {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 1000 ? count(Math.round(value)) : value.toPrecision(4);
};

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
