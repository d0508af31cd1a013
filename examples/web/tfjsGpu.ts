/** TensorFlow.js's backends on a GPU, in a chunk of their own: large, and loaded only when one is chosen. */
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
