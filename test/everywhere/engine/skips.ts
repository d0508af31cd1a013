import type { Host } from "./result.js";

interface Skip {
  readonly file?: RegExp;
  readonly test?: RegExp;
  readonly where: (host: Host) => boolean;
  readonly why: string;
  /** Only from a brief run. */
  readonly brief?: true;
}

const on =
  (...engines: string[]) =>
  ({ engine }: Host) =>
    engines.some((name) => engine.startsWith(name));
const browsers = on("chromium", "firefox");
const forbidden = ({ wasm }: Host) => !wasm;

/** What is left out where, although it could be loaded. What an engine does not have is not listed: asking for it skips. */
const SKIPS: readonly Skip[] = [
  {
    file: /test\/(project\/(?!formats)|web\/)/,
    where: () => true,
    why: "is about this repository's programs and pages; vitest ran it",
  },
  {
    test: /that relaxed kernels were used is recorded|no header makes loading hang/,
    where: on("deno"),
    why: "starts a process with Node's options",
  },
  { file: /digest-reference/, where: () => true, why: "runs nothing of the package; vitest ran it" },
  { file: /checkpoint\/torch/, where: () => true, why: "is about Python; vitest ran it" },
  { test: /^100,000 random mutations/, where: browsers, why: "takes a minute without Node's Buffer" },
  { test: /^100,000 random mutations/, where: on("node", "deno"), why: "takes long, and vitest ran it in V8" },
  {
    file: /tfjs\/(models|agreement)/,
    where: () => true,
    why: "is mostly TensorFlow.js at work, and takes long; vitest ran it",
  },
  {
    test: /one warning, in 3 optimizers > without workers/,
    where: on("bun"),
    why: "Bun's workers cannot be taken away",
  },
  {
    test: /dropped without dispose: its workers end/,
    where: on("bun"),
    why: "Bun has not finalized a dropped optimizer by then",
  },
  { test: /threads do not pile up/, where: on("bun"), why: "Bun starts and ends threads of its own" },
  {
    file: /threads\/(lost|start|processes|pools|dispose|alone)|\/files\/|adapters\//,
    where: on("node 22"),
    why: "takes long; Node 20 (in vitest) and Node 24 ran it",
    brief: true,
  },
  {
    file: /threads\/pools|adapters\//,
    where: on("deno"),
    why: "takes long; other engines with V8 ran it",
    brief: true,
  },
  {
    test: /no header makes loading hang|with tens of thousands of tensors/,
    where: on("node", "deno"),
    why: "takes long, and vitest ran it in V8",
    brief: true,
  },
  {
    test: /1,000 steps leave as many live buffers/,
    where: () => true,
    why: "takes long, in jax-js; vitest ran it",
    brief: true,
  },
  { test: /1,000 of them from init, and 200 read back/, where: on("bun"), why: "takes long in Bun, in jax-js" },
  {
    test: /everything frozen by hand|is itself again after the import/,
    where: on("bun", "deno"),
    why: "the runtime itself does not go on with frozen intrinsics",
  },
  {
    file: /threads\/lost/,
    where: on("deno"),
    why: "the workers that it makes misbehave hang in Deno's node:worker_threads",
  },
  { test: /threads do not pile up/, where: on("deno"), why: "starts a process with Node's options" },
  { file: /threads\/(alone|processes)/, where: on("deno"), why: "starts processes with Node's options" },
  { file: /threads\/(bits|relaxed)/, where: ({ isolated }) => !isolated, why: "needs cross-origin isolation" },
  { file: /threads\/(bits|relaxed)/, where: ({ blobWorkers }) => !blobWorkers, why: "needs workers" },
  { test: /and where all is well, SIMD/, where: forbidden, why: "is about hosts that allow WebAssembly" },
];

export function whyNot(file: string, test: string, host: Host): string | undefined {
  const skip = SKIPS.find(
    ({ file: files, test: tests, where, brief }) =>
      (files?.test(file) ?? true) && (tests?.test(test) ?? true) && where(host) && (!brief || host.brief),
  );
  return skip?.why;
}
