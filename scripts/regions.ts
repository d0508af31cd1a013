/**
 * Documents with every marked region filled anew: what stands between `<!-- KIND:NAME -->` and `<!-- /KIND:NAME -->`, for every NAME
 * there is.
 *
 * @throws Error for a region that stands in none of them or twice, or one that nothing is known of
 */
export function fill(kind: string, documents: readonly string[], contents: Readonly<Record<string, string>>): string[] {
  const seen = new Set<string>();
  const region = new RegExp(`(<!-- ${kind}:(\\w+) -->\\n).*?(<!-- /${kind}:\\2 -->)`, "gs");
  const filled = documents.map((document) =>
    document.replace(region, (_, open, name, close) => {
      if (!Object.hasOwn(contents, name)) throw new Error(`"${kind}:${name}": expected ${Object.keys(contents)}`);
      if (seen.has(name)) throw new Error(`"${kind}:${name}": expected one place, got two`);
      seen.add(name);
      return `${open}${contents[name]}\n${close}`;
    }),
  );
  for (const name of Object.keys(contents)) {
    if (!seen.has(name)) throw new Error(`"${kind}:${name}": expected a region in one of the documents, got none`);
  }
  return filled;
}
