import { readFileSync, writeFileSync } from "node:fs";
import { Application, Converter, ReflectionKind } from "typedoc";
import { REPOSITORY } from "./nav.mjs";

/**
 * Writes the reference as pages in `out`, and a sidebar for them, from the docstrings of everything that package.json exports.
 *
 * @throws Error for an export without a docstring, and for a reference that leads nowhere
 */
export async function writeReference(pages, out) {
  const entries = entryPoints();
  const app = await Application.bootstrapWithPlugins({
    name: "Reference",
    entryPoints: [...entries.keys()],
    tsconfig: "tsconfig.build.json",
    plugin: ["typedoc-plugin-markdown"],
    out: `${pages}/${out}`,
    readme: "none",
    entryFileName: "index",
    excludeInternal: true,
    excludeProtected: true,
    validation: { invalidLink: true, notDocumented: true, notExported: true, invalidPath: true },
    requiredToBeDocumented: [
      ...["Module", "Class", "Interface", "TypeAlias", "Function", "Variable", "Enum", "EnumMember"],
      ...["Property", "Method", "Accessor"],
    ],
    sort: ["kind", "source-order"],
    kindSortOrder: ["Module", "Class", "Function", "Variable", "Interface", "TypeAlias"],
    gitRevision: "main",
    sourceLinkTemplate: `${REPOSITORY}/blob/{gitRevision}/{path}#L{line}`,
    pageTitleTemplates: { index: "{projectName}", module: "{name}", member: "{name}" },
    hidePageHeader: true,
    useCodeBlocks: true,
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    typeAliasPropertiesFormat: "table",
    tableColumnSettings: { hideSources: true, hideModifiers: true, hideInherited: true },
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children) module.name = entries.get(module.sources[0].fileName);
  });
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const reflection of Object.values(project.reflections)) tidy(reflection);
  });

  let written;
  app.renderer.postRenderAsyncJobs.push(async ({ pages }) => {
    written = pages;
  });

  const project = await app.convert();
  if (project !== undefined) app.validate(project);
  // In the order of package.json, the main entry point first.
  const order = [...entries.values()];
  for (const list of [project?.children, ...(project?.groups ?? []).map(({ children }) => children)]) {
    list?.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  }
  const complete = () => project !== undefined && !app.logger.hasErrors() && !app.logger.hasWarnings();
  if (complete()) await app.generateOutputs(project);
  if (!complete()) throw new Error("the reference is not complete: see above");

  const urlOf = new Map(written.map(({ model, url }) => [model, url.replace(/index\.md$/, "")]));
  const item = (reflection) => ({ text: reflection.name, link: `/${out}/${urlOf.get(reflection)}` });
  // A re-export has its page in the module it comes from.
  const itemsOf = ({ children }) => children.filter((child) => urlOf.has(child)).map(item);
  const sidebar = project.children.map((module) => ({ ...item(module), collapsed: true, items: itemsOf(module) }));
  writeFileSync(`${pages}/${out}/sidebar.json`, JSON.stringify(sidebar));
  const rows = project.children.map(
    (module) => `| [\`${module.name}\`](/${out}/${urlOf.get(module)}) | ${about(module)} |`,
  );
  writeFileSync(`${pages}/${out}/index.md`, `# Reference\n\n| import from | |\n| --- | --- |\n${rows.join("\n")}\n`);
}

/** From source file to subpath: dist/esm/x.js is made from src/x.ts. */
function entryPoints() {
  const { name, exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const compiled = Object.entries(exports).filter(([, target]) => target.import !== undefined);
  return new Map(
    compiled.map(([subpath, target]) => [
      target.import.default.replace(/^\.\/dist\/esm\/(.*)\.js$/, "src/$1.ts"),
      name + subpath.slice(1),
    ]),
  );
}

/** The first sentence of a module's docstring. */
function about({ comment }) {
  const text = comment.summary.map((part) => part.text).join("");
  return /^.*?\.(?=\s|$)/s.exec(text)[0].replaceAll("\n", " ");
}

/** Leaves out where members come from, and adds a table of what the members of a union mean. */
function tidy(reflection) {
  const member = reflection.kindOf(ReflectionKind.SomeSignature) ? reflection.parent : reflection;
  if (member.parent?.kindOf(ReflectionKind.ClassOrInterface)) {
    delete reflection.inheritedFrom;
    delete reflection.sources;
  }
  const { elementSummaries, types } = reflection.type ?? {};
  if (elementSummaries === undefined) return;
  const rows = elementSummaries.map((parts, i) => `| \`${types[i]}\` | ${parts.map(({ text }) => text).join("")} |`);
  reflection.comment.summary.push({ kind: "text", text: `\n\n| value | |\n| --- | --- |\n${rows.join("\n")}` });
}
