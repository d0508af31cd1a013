/** What other libraries call an option, in lower case and without underscores. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  learningrate: "lr",
  epsilon: "eps",
  beta: "betas",
  beta1: "betas",
  beta2: "betas",
  b1: "betas",
  b2: "betas",
  decay: "weightDecay",
  maxnorm: "clipNorm",
  globalclipnorm: "clipNorm",
  lossscale: "gradScale",
};

/** ` (did you mean "lr"?)` for a key that is nearly one of `known`, or another library's name for it; else nothing. */
export function suggest(key: string, known: readonly string[]): string {
  const word = plain(key);
  const elsewhere = Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined;
  const meant = known.find((name) => name === elsewhere || plain(name) === word) ?? nearest(word, known);
  return meant === undefined ? "" : ` (did you mean "${meant}"?)`;
}

/** The first name one edit away from a word: a letter more, less, or another, or two exchanged. */
function nearest(word: string, known: readonly string[]): string | undefined {
  return word.length < 3 || word.length > 30 ? undefined : known.find((name) => isOneEdit(word, plain(name)));
}

function isOneEdit(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const [x, y] = [a.slice(start), b.slice(start)];
  const isSwap = x.length > 1 && x[0] === y[1] && x[1] === y[0] && x.slice(2) === y.slice(2);
  return x.slice(1) === y.slice(1) || x.slice(1) === y || x === y.slice(1) || isSwap;
}

function plain(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}
