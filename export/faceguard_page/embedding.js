// Mark a picture with bits, and read bits from one: `keras_imaging.watermark.embedding`.

import { addEnlarged, roundHalfToEven, shrink } from "./region.js";
import { softTest } from "./statistics.js";

// Less of a picture carries no mark.
export const MIN_SIDE = 32;

/** The box of a whole picture. */
export function wholePicture(picture) {
  return { left: 0, top: 0, right: picture.width, bottom: picture.height };
}

/** The marked picture: clip(x + strength * residual), rounded half up. */
export async function embed(networks, picture, bits, box, strength = networks.strength) {
  checkBox(picture, box);
  const { imageSize: size } = networks;
  const residual = await networks.encode(shrink(picture, box, size), Float32Array.from(bits));
  return addEnlarged(picture, residual.map((value) => strength * value), size, box);
}

// Strengths to try, the weakest first, as parts of the networks' own; and what a mark that is
// strong enough has to spare.
const STRENGTHS = [0.42, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4];
const MARGIN = 1e-3;

/**
 * The marked picture whose mark is as weak as it can be: verified with some margin when it has been
 * written, and when it has been sent. Both are functions of a picture, and give one.
 */
export async function embedWeakly(networks, picture, bits, box, written, sent) {
  const half = halfBox(box);
  let marked;
  for (const part of STRENGTHS) {
    const strength = part * networks.strength;
    marked = { strength, picture: await embed(networks, picture, bits, box, strength) };
    const file = await written(marked.picture);
    marked.check = await verify(networks, file, bits, [box]);
    marked.sent = fits(half) ? await verify(networks, await sent(file), bits, [half]) : null;
    const enough = MARGIN * networks.alpha;
    if (marked.check.pValue <= enough && marked.sent?.pValue <= enough) break;
  }
  return marked;
}

/** A box in the picture at half the size. */
export function halfBox(box) {
  return Object.fromEntries(Object.entries(box).map(([side, at]) => [side, roundHalfToEven(at / 2)]));
}

function fits({ left, top, right, bottom }) {
  return Math.min(right - left, bottom - top) >= MIN_SIDE;
}

/** The logits of the bits in a region; a bit is logit > 0. */
export async function extract(networks, picture, box) {
  checkBox(picture, box);
  return networks.decode(shrink(picture, box, networks.imageSize));
}

/** How well the logits of the best of some regions agree with the bits, as `softTest` gives it. */
export async function verify(networks, picture, expected, boxes) {
  let best = null;
  for (const box of boxes) {
    const logits = await extract(networks, picture, box);
    const found = softTest(logits, expected, networks.alpha, boxes.length);
    if (!best || found.pValue < best.pValue) best = found;
  }
  return best;
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
