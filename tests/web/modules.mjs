// Runs modules of the page in Node, on what test_modules.py sends, and prints what they give.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const load = (name) => import(pathToFileURL(path.join(job.page, name)));

globalThis.ImageData = class {
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
  }
};

const { logitWeights, softTest } = await load("statistics.js");
const { places } = await load("alignment.js");
const { embedWeakly, halfBox } = await load("embedding.js");

// The checkerboard of `watermark_stand_ins`.
const SIZE = 64;
const board = (x, y) => (((x >> 1) + (y >> 1)) % 2 ? -1 : 1);
const cell = (x, y) => 8 * (y >> 3) + (x >> 3);
const networks = {
  imageSize: SIZE,
  messageLength: 64,
  strength: 0.08,
  alpha: 1e-6,
  encode: (image, bits) =>
    Float32Array.from({ length: SIZE * SIZE }, (_, i) => {
      const [x, y] = [i % SIZE, Math.floor(i / SIZE)];
      return (2 * bits[cell(x, y)] - 1) * board(x, y);
    }),
  decode: (image) => {
    const sums = new Float64Array(64);
    for (let y = 0; y < SIZE; y++) {
      for (let x = 0; x < SIZE; x++) {
        const at = 3 * (y * SIZE + x);
        const luma = Math.fround((image[at] + image[at + 1] + image[at + 2]) / 3);
        sums[cell(x, y)] += luma * board(x, y);
      }
    }
    return Float32Array.from(sums);
  },
};
const { pixels, width, height } = job.picture;
const picture = new ImageData(Uint8ClampedArray.from(pixels), width, height);
const whole = { left: 0, top: 0, right: width, bottom: height };
const stamped = await embedWeakly(
  networks,
  new ImageData(Uint8ClampedArray.from(job.original.pixels), job.original.width, job.original.height),
  job.bits,
  job.box,
  async (written) => written,
  async (sent) => sent,
);
console.log(
  JSON.stringify({
    tests: job.tests.map(([logits, bits, alpha, candidates]) =>
      softTest(Float32Array.from(logits), bits, alpha, candidates),
    ),
    weights: job.tests.map(([logits]) => logitWeights(Float32Array.from(logits))),
    places: await places(networks, picture, whole),
    half: halfBox({ left: 1, top: 3, right: 41, bottom: 42 }),
    strength: stamped.strength,
    stamped: Array.from(stamped.picture.data),
    check: stamped.check,
  }),
);
