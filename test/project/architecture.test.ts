/** docs/architecture.md names the folders and files that are there, and draws the rule that `npm run rooms` checks. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { root } from "../support/root.js";

const page = readFileSync(join(root, "docs/architecture.md"), "utf8");
const { ROOMS } = (await import(pathToFileURL(join(root, ".dependency-cruiser.mjs")).href)) as {
  ROOMS: Record<string, readonly string[]>;
};

/** The table's rows: a folder, and what it may import. */
const rows = new Map(
  [...page.matchAll(/^\| \[?`([\w/]+)\/`.*\| ([^|]*)\|$/gm)].map(([, folder, rooms]) => [
    folder!,
    [...rooms!.matchAll(/`(\w+)`/g)].map(([, room]) => room!),
  ]),
);

describe("docs/architecture.md", () => {
  it("has a row for every room, with what the rule lets it import", () => {
    const rule = Object.entries(ROOMS).map(([room, others]) => [`src/${room}`, others] as const);
    expect(rows.get("assembly")).toEqual([]);
    rows.delete("assembly");
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(rule));
  });

  it("every folder of src/ with files in it is a room, or inside one", () => {
    const folders = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(join(root, "src"), entry.parentPath))
      .filter((folder) => folder !== "");
    expect(folders.length).toBeGreaterThan(0);
    for (const folder of folders) {
      expect(
        Object.keys(ROOMS).some((room) => `${folder}/`.startsWith(`${room}/`)),
        folder,
      ).toBe(true);
    }
  });

  it("every room is in the picture, and so is every entry point", () => {
    const picture = /```text\n(.*?)```/s.exec(page)![1]!;
    const entries = readdirSync(join(root, "src")).filter((name) => name.endsWith(".ts"));
    for (const name of [...Object.keys(ROOMS).flatMap((room) => room.split("/")), ...entries]) {
      expect(picture).toContain(name.replace(/\.ts$/, ""));
    }
  });

  it("every file and folder that it names is there", () => {
    const named = [...page.matchAll(/`((?:src|assembly|test)\/[\w./]*)`/g)].map(([, path]) => path!);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
