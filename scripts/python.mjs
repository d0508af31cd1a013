// Makes virtual environments in build/python, with the Python libraries that tests compare with. What is there already stays. Without
// Python's venv module, or out of reach of PyPI, says so and makes none: the tests then skip what they lack, by name.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Two, because Debian's PyTorch works with Debian's NumPy only, and JAX with a later one only. */
const ENVIRONMENTS = {
  torch: { venv: ["--system-site-packages"], packages: ["safetensors==0.8.0", "huggingface_hub==2.4.0"] },
  jax: {
    venv: [],
    packages: ["safetensors==0.8.0", "optax==0.2.8", "jax==0.10.2", "jaxlib==0.10.2", "keras==3.15.1"],
  },
};

for (const [name, { venv, packages }] of Object.entries(ENVIRONMENTS)) {
  const folder = fileURLToPath(new URL(`../build/python/${name}`, import.meta.url));
  const [stamp, text] = [`${folder}/packages.txt`, `${packages.join("\n")}\n`];
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === text) continue;
  try {
    rmSync(folder, { recursive: true, force: true });
    execFileSync("/usr/bin/python3", ["-m", "venv", ...venv, folder], { stdio: "inherit" });
    const flags = ["--quiet", "--disable-pip-version-check", "--timeout=20", "--retries=2"];
    execFileSync(`${folder}/bin/pip`, ["install", ...flags, ...packages], { stdio: "inherit" });
    writeFileSync(stamp, text);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    console.warn(`no ${folder}, its tests are skipped: ${error.message}`);
  }
}
