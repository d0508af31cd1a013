/** A file of its own: a warning is said once per process. */
import { adamw } from "fused-adam/tfjs";
import { expect, it, vi } from "vitest";
import { type BackendName, tf, use } from "../../support/tfjs.js";

it("a backend that cannot be reached is named once, with what it costs; others are not", async () => {
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  const step = async (backend: BackendName) => {
    await use(backend);
    const variable = tf.variable(tf.ones([2]));
    const optimizer = adamw(tf);
    for (let i = 0; i < 2; i++) optimizer.applyGradients([{ name: variable.name, tensor: tf.ones([2]) }]);
    optimizer.dispose();
    return said.mock.calls.map(([message]) => String(message)).filter((message) => message.startsWith("fused-adam"));
  };
  for (const backend of ["cpu", "wasm", "wasm-plain"] as const) expect(await step(backend)).toEqual([]);
  for (let i = 0; i < 2; i++)
    expect(await step("opaque")).toEqual([expect.stringMatching(/"opaque".*8 bytes per parameter/)]);
  said.mockRestore();
});
