// On Node 20 tsx looks after the main thread alone, so a worker asks for it.
import { register } from "tsx/esm/api";

register();
const { train } = await import("./training.ts");
export default train;
