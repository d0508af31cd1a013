import { build } from "vite";

await build({ logLevel: "warn", base: "./", worker: { format: "es" }, build: { target: "es2022" } });
