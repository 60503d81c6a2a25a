// Mark a picture with bits, and read bits from one: `keras_imaging.watermark.embedding`.

import { addEnlarged, shrink } from "./region.js";
import { matchTest } from "./statistics.js";

// Less of a picture carries no mark.
export const MIN_SIDE = 32;

/** The box of a whole picture. */
export function wholePicture(picture) {
  return { left: 0, top: 0, right: picture.width, bottom: picture.height };
}

/** The marked picture: clip(x + strength * residual), rounded half up. */
export async function embed(networks, picture, bits, box) {
  checkBox(picture, box);
  const { imageSize: size, strength } = networks;
  const residual = await networks.encode(shrink(picture, box, size), Float32Array.from(bits));
  return addEnlarged(picture, residual.map((value) => strength * value), size, box);
}

/** The logits of the bits in a region; a bit is logit > 0. */
export async function extract(networks, picture, box) {
  checkBox(picture, box);
  return networks.decode(shrink(picture, box, networks.imageSize));
}

/** How well the bits of a region match those that are expected, as `matchTest` gives it. */
export async function verify(networks, picture, expected, box) {
  const logits = await extract(networks, picture, box);
  const bits = Uint8Array.from(logits, (logit) => (logit > 0 ? 1 : 0));
  return matchTest(bits, expected, networks.alpha);
}

/** Width or height of what a box and a picture have in common, whichever is less. */
export function leastCover(picture, { left, top, right, bottom }) {
  return Math.min(
    Math.min(right, picture.width) - Math.max(left, 0),
    Math.min(bottom, picture.height) - Math.max(top, 0),
  );
}

function checkBox(picture, box) {
  const { left, top, right, bottom } = box;
  const width = right - left;
  const height = bottom - top;
  if (!(Math.min(width, height) >= MIN_SIDE)) {
    throw new Error(`The region must have at least ${MIN_SIDE} x ${MIN_SIDE} pixels.`);
  }
  if (width > 2 * picture.width || height > 2 * picture.height) {
    throw new Error("The box must be at most twice as large as the picture.");
  }
  if (leastCover(picture, box) < MIN_SIDE) {
    throw new Error(`The box must cover at least ${MIN_SIDE} x ${MIN_SIDE} pixels of the picture.`);
  }
}
