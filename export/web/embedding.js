// Mark a picture with bits, and read bits from one: `keras_imaging.watermark.embedding`.

import { addEnlarged, shrink } from "./region.js";
import { matchTest } from "./statistics.js";

const MIN_SIDE = 32;

// A box drawn by hand is not the one of before; as of faces found again, a tenth either way is tried.
const SIZES = [1, 0.9, 1.1];

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

/** The best match of expected bits in the regions, as `matchTest` gives it. */
export async function verify(networks, picture, expected, regions) {
  let best = null;
  for (const box of regions) {
    const logits = await extract(networks, picture, box);
    const bits = Uint8Array.from(logits, (logit) => (logit > 0 ? 1 : 0));
    const result = matchTest(bits, expected, networks.alpha, regions.length);
    if (best === null || result.matches > best.matches) best = result;
  }
  return best;
}

/** The regions that `verify` looks at where a box was drawn. */
export function regionsAround(picture, box) {
  const boxes = SIZES.map((size) => {
    const more = Math.round(((box.right - box.left) * (size - 1)) / 2);
    return {
      left: box.left - more,
      top: box.top - more,
      right: box.right + more,
      bottom: box.bottom + more,
    };
  });
  return boxes.filter((other, i) => i === 0 || isUsable(picture, other));
}

function isUsable(picture, box) {
  try {
    checkBox(picture, box);
    return true;
  } catch {
    return false;
  }
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
  const inside = Math.min(
    Math.min(right, picture.width) - Math.max(left, 0),
    Math.min(bottom, picture.height) - Math.max(top, 0),
  );
  if (inside < MIN_SIDE) {
    throw new Error(`The box must cover at least ${MIN_SIDE} x ${MIN_SIDE} pixels of the picture.`);
  }
}
