/** SHA-256 over everything given, byte for byte, as hex. */
export async function digestOf(parts: readonly (Float32Array | Float64Array | Uint16Array)[]): Promise<string> {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of parts) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What the runs of longRun.ts leave. test/everywhere/digest-reference.test.ts has it from the float32 reference. */
export const DIGESTS = {
  float32: {
    adam: { float32: "f365d343a09cbb00aa96f5e6e7bea430b67887df74bfc30e5bce48e728e16056" },
    adamw: { float32: "5e6c48b01a859ea9284336f74c8aa1754140de1551246f8b0666a36abb909cae" },
  },
  halves: {
    adam: {
      "float32 moments, float32 grads, bfloat16 copies":
        "aad4788a7710efad035b645c299d823bbe8c8b1ccd527b80f8347f7f9a32a62d",
      "float32 moments, float32 grads, float16 copies, AMSGrad":
        "d0c1bfd0abfe46c06f99471fab5dcbed18bd85d4bd0ce58a30bc4db6b11868f2",
      "float32 moments, float16 grads, no copies": "f9086d775810d0bb37b7478ea9e2b81262af0c83a20349fd4cc3c05e86c6d656",
      "float32 moments, float16 grads, bfloat16 copies, AMSGrad":
        "8c671d1b3506cb8dc2767ea14562ad9cdc793fd70eb6cff65695408bae71dcce",
      "float32 moments, bfloat16 grads, float16 copies":
        "46f1d84630683b0f7a5b66da4643bd0059e54036678955bb6ce6018d8065d2d9",
      "float32 moments, bfloat16 grads, no copies, AMSGrad":
        "08fa49a7aced1bca50b536a9ce571361ffbc24d1914f4f331af3733cde088494",
      "bfloat16 moments, float32 grads, no copies": "e5654b84d648896f6e5968206ba10a7d823f7f18dc7112e95c5e0e1dd2b5a294",
      "bfloat16 moments, float32 grads, bfloat16 copies, AMSGrad":
        "9818d8bf81d2846d27eb70f29cf6b4a73219081dd42dc02d7327e2c99aa06500",
      "bfloat16 moments, float16 grads, float16 copies":
        "d29589c35914e51f2937c8b0a03635be5dcf9662d73f9b54356b763f8cb70120",
      "bfloat16 moments, float16 grads, no copies, AMSGrad":
        "2437f1500a21d2bb1b6310bcb84ae3b0796d4484fdc73e85f33e148992f75e9c",
      "bfloat16 moments, bfloat16 grads, bfloat16 copies":
        "08583dc6ab513635bbf5577c04e62023894d98c2741c3eaef81e754666ce48b3",
      "bfloat16 moments, bfloat16 grads, float16 copies, AMSGrad":
        "e716e41134c4a6dbf916f771675048f93aed47df8141647e0c9039c60617c91d",
    },
    adamw: {
      "float32 moments, float32 grads, bfloat16 copies":
        "d396fdf341b3da041b084ab390a8e038486bdedfbc67969a1e5730f47dec7cb1",
      "float32 moments, float32 grads, float16 copies, AMSGrad":
        "15ef42a2772991001aee884a85d16d43200d3a2c5a92d800593078369238964b",
      "float32 moments, float16 grads, no copies": "1ace039db6a5d39396f31f6ae25aad6f9ec2ad62ec8a995773a8d86e0882e0ad",
      "float32 moments, float16 grads, bfloat16 copies, AMSGrad":
        "ff90f4bcb97bdf621adbf4a78c5536367936fad5d60b10882e7d2b6c29570e05",
      "float32 moments, bfloat16 grads, float16 copies":
        "e52778093af5b7eefbd46beab34009c8d21a961897ce2bf4a7e2d9e1a2d8d67d",
      "float32 moments, bfloat16 grads, no copies, AMSGrad":
        "11eecb7246057d8a66286606c7be81d59fdec8573fed52e663c54cb09cf7bba9",
      "bfloat16 moments, float32 grads, no copies": "039ae7fb6d5e8c8676734b8e4a3e354b52a32327cfdbe563d97e2b4389fd0ec3",
      "bfloat16 moments, float32 grads, bfloat16 copies, AMSGrad":
        "0c81c774bb144b0df7405047a3c23e17f11e775a392836bc64b9fcd08c2233ab",
      "bfloat16 moments, float16 grads, float16 copies":
        "de75acd9418ab6fa1aa3220618a577dfa1ab6879ea698637f8b2e92ed9d59caf",
      "bfloat16 moments, float16 grads, no copies, AMSGrad":
        "478a10074148c05c2c579c1be5ebdd85ae443a60ce8cc9c6fcf3f4676cbba18b",
      "bfloat16 moments, bfloat16 grads, bfloat16 copies":
        "5adc537cad86f74daa3b6156796f6aa5bb2da66c41625d0ae5b70963802c83ec",
      "bfloat16 moments, bfloat16 grads, float16 copies, AMSGrad":
        "900c4ac423c6ca99295fb8808f27dbedfa144cb9b3a4283ab53cdef2383428e4",
    },
  },
} as const;
