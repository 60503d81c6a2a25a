// FaceGuard's encoder and decoder, run by LiteRT.js in the page.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const WASM = new URL("node_modules/@litertjs/core/wasm/", document.baseURI).href;

/** Fetch and compile what lies in the folder `models`. */
export async function loadNetworks(folder = "models/") {
  const answer = await fetch(`${folder}networks.json`);
  if (!answer.ok) throw new Error(`There are no networks beside this page (${answer.url}).`);
  const settings = await answer.json();
  await loadLiteRt(WASM);
  const [encoder, decoder] = await Promise.all(
    ["encoder", "decoder"].map((name) =>
      loadAndCompile(`${folder}${name}.tflite`, { accelerator: "wasm" }),
    ),
  );
  const { imageSize: size, messageLength } = settings;
  const image = (values) => new Tensor(values, [1, size, size, 3]);
  return {
    ...settings,
    /** The residual (size, size) of an image (size, size, 3) and bits. */
    encode: (values, bits) =>
      run(encoder, { image: image(values), bits: new Tensor(bits, [1, messageLength]) }),
    /** The logits of an image (size, size, 3). */
    decode: (values) => run(decoder, { image: image(values) }),
  };
}

async function run(model, inputs) {
  const outputs = await model.run(inputs);
  const result = Float32Array.from(outputs.output_0.toTypedArray());
  // WebAssembly's memory is not collected.
  for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
  return result;
}
