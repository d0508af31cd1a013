/** With DISCO: the example on npm's version 2 as its README says, and what the page says for version 3. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { installExample } from "../support/installExample.js";
import { recipe } from "../support/markdown.js";
import { root } from "../support/root.js";

const EXAMPLE = join(root, "examples/disco");

describe("the example, on version 2.1.1 (needs an npm registry)", () => {
  let unreachable: string | undefined;
  beforeAll(() => {
    unreachable = installExample(EXAMPLE);
    if (unreachable !== undefined) console.warn(`skipped, examples/disco: ${unreachable}`);
  });
  beforeEach(({ skip }) => skip(unreachable !== undefined, unreachable));

  it("type-checks under `strict`", () => {
    const compile = () =>
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", EXAMPLE], { stdio: "pipe" });
    expect(compile).not.toThrow();
  });

  it.each(["cpu", "wasm"])(
    "%s: 60 steps and 6 averages of two clients, no bit off the core's; 4 of 5 digits right",
    (backend) => {
      const args = ["--import", "tsx", join(EXAMPLE, "main.ts"), backend];
      const printed = execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", stdio: "pipe" });
      const lines = printed.trimEnd().split("\n").slice(-5);
      expect(lines[0]).toMatch(new RegExp(`^2 clients and a server on 127\\.0\\.0\\.1:\\d+, "${backend}" backend$`));
      for (const [i, name] of ["A", "B"].entries()) {
        expect(lines[1 + i]).toBe(`client ${name}: 60 steps, 6 rounds, 24 tensors of averages`);
      }
      expect(lines[3]).toMatch(/^no bit off the core's/);
      expect(Number(/([\d.]+) % after$/.exec(lines[4]!)![1])).toBeGreaterThan(80);
    },
  );
});

describe("the hook for version 3, which npm does not have, on a stand-in for what it touches", () => {
  /** Two kinds of model, and a client that is given one: compiled with something else, or not at all. */
  const DISCO = `
    import * as tf from "@tensorflow/tfjs";
    class Model {
      #model;
      constructor(model) { this.#model = model; }
      extract() { return this.#model; }
    }
    export const models = { TFJS: class extends Model {}, GPT: class extends Model {} };
    const { dense, embedding } = tf.layers;
    const make = {
      TFJS() {
        const model = tf.sequential({ layers: [dense({ units: 2, inputShape: [3] })] });
        model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
        return model;
      },
      GPT() {
        const inputs = tf.input({ shape: [3] });
        const embedded = embedding({ inputDim: 4, outputDim: 2 }).apply(inputs);
        return tf.model({ inputs, outputs: dense({ units: 1 }).apply(embedded) });
      },
    };
    class FederatedClient {
      constructor(kind) { this.kind = kind; }
      async connect() { return new models[this.kind](make[this.kind]()); }
    }
    export const client = { federated: { FederatedClient } };
  `;
  const TFJS = `
    import "@tensorflow/tfjs-backend-cpu";
    export * from "@tensorflow/tfjs-core";
    export * from "@tensorflow/tfjs-layers";
  `;
  /** Weights of 1, a step without gradients: what is left of the first element of each is what decay has left. */
  const USE = `
    import * as tf from "@tensorflow/tfjs";
    import { FusedClient } from "./block.mjs";
    const all = {};
    for (const kind of ["TFJS", "GPT"]) {
      const model = (await new FusedClient(kind).connect()).extract();
      model.setWeights(model.getWeights().map((weight) => tf.ones(weight.shape)));
      model.optimizer.applyGradients(model.trainableWeights.map(({ name, shape }) => ({ name, tensor: tf.zeros(shape) })));
      const left = model.getWeights().map((weight) => weight.dataSync()[0]);
      all[kind] = { optimizer: model.optimizer.getClassName(), loss: model.loss, left };
    }
    console.log(JSON.stringify(all));
  `;

  // Inside the package, so that everything else resolves to what is here.
  mkdirSync(join(root, "build"), { recursive: true });
  const folder = mkdtempSync(join(root, "build/disco-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  it("gives both kinds of model an AdamW, which decays kernels and neither biases nor a GPT's embeddings", () => {
    for (const [name, code] of Object.entries({ "@epfml/discojs": DISCO, "@tensorflow/tfjs": TFJS })) {
      const dir = join(folder, "node_modules", name);
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, "package.json"), JSON.stringify({ name, type: "module", exports: "./index.js" }));
      writeFileSync(join(dir, "index.js"), code);
    }
    const { code } = transformSync(recipe("docs/disco.md", "disco-v3"), { loader: "ts", format: "esm" });
    writeFileSync(join(folder, "block.mjs"), code);
    writeFileSync(join(folder, "use.mjs"), USE);
    const printed = execFileSync(process.execPath, [join(folder, "use.mjs")], { encoding: "utf8", stdio: "pipe" });
    expect(JSON.parse(printed.trim().split("\n").at(-1)!)).toEqual({
      TFJS: { optimizer: "FusedAdamW", loss: "categoricalCrossentropy", left: [Math.fround(1 - 1e-3 * 0.01), 1] },
      GPT: { optimizer: "FusedAdamW", left: [1, Math.fround(1 - 1e-3 * 0.1), 1] },
    });
  });
});
