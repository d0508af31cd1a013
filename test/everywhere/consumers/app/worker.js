import * as api from "./package.js";
import { train } from "./train.js";

train(api, "step").then((results) => postMessage(results));
