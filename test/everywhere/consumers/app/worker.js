import * as api from "./package.js";
import { train } from "./train.js";

postMessage(await train(api, "step"));
