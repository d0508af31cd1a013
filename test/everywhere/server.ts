/** Serves a browser its pages, one per test file and mode, each under the mode's headers, and takes in the results. */
import { json } from "node:stream/consumers";
import { root } from "../support/root.js";
import { fileIn, NOT_FOUND, pageOf, type Site, serve } from "../support/site.js";
import { bundleOf } from "./bundle.js";
import type { FileResult, Host } from "./engine/result.js";
import type { Mode } from "./modes.js";

export interface Visit {
  readonly mode: Mode;
  readonly host: Host;
  readonly file: string;
}

/**
 * @param visits by index, each a page
 * @param arrived hears when the i-th page asks for its file of tests
 * @param report gets the result of the i-th visit; its answer is the index of the next one, or undefined for the end
 */
export function serveVisits(
  suite: string,
  visits: readonly Visit[],
  arrived: (i: number) => void,
  report: (i: number, result: FileResult) => number | undefined,
): Promise<Site> {
  return serve(async (path, _, request) => {
    const [, index, what, rest = ""] = /^\/(\d+)\/([^/]*)(.*)$/.exec(path) ?? [];
    const visit = visits[Number(index)];
    if (visit === undefined) return NOT_FOUND;
    const answer = {
      "page.html": () => ({ body: pageOf("suite/page.mjs") }),
      "end.html": () => ({ body: "" }),
      result: async () => {
        const next = report(Number(index), (await json(request)) as FileResult);
        // By the server's other name, which is another site: browsers then leave the process, and with it all memory, behind.
        const [host, port] = request.headers.host!.split(":");
        const other = host === "localhost" ? "127.0.0.1" : "localhost";
        return { body: `http://${other}:${port}${next === undefined ? `/${index}/end.html` : pathOf(visits, next)}` };
      },
      suite: () => {
        if (rest === `/${bundleOf(visit.file)}`) arrived(Number(index));
        return fileIn(suite, rest);
      },
      repository: () => fileIn(root, rest),
    }[what!];
    return { ...((await answer?.()) ?? NOT_FOUND), headers: visit.mode.headers };
  });
}

/** The i-th page, from the server's root. */
export function pathOf(visits: readonly Visit[], i: number): string {
  const { file, host } = visits[i]!;
  return `/${i}/page.html?${new URLSearchParams({ bundle: bundleOf(file), host: JSON.stringify(host) })}`;
}
