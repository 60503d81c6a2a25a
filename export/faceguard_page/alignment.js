// Find how a marked region was cropped or framed anew: `keras_imaging.watermark.alignment`.

import { extract, leastCover, MIN_SIDE, wholePicture } from "./embedding.js";
import { shrink } from "./region.js";

const SCALES = [0.89, 0.94, 1.0, 1.06, 1.12];
const STEP = 0.04;
const SURE = 6;

/** The region where the decoder is surest, whichever bits it reads there. */
export async function align(networks, picture, box) {
  if ((await sureness(networks, picture, box)) >= SURE) return box;
  const small = reduced(picture, box, 2 * networks.imageSize);
  let best = { sureness: -1 };
  for (const place of places()) {
    const region = placed(small.box, place);
    const { left, top, right, bottom } = region;
    const side = Math.min(right - left, bottom - top, leastCover(small.picture, region));
    const found = side < MIN_SIDE ? 0 : await sureness(networks, small.picture, region);
    if (found > best.sureness) best = { sureness: found, place };
  }
  return placed(box, best.place);
}

async function sureness(networks, picture, box) {
  const logits = await extract(networks, picture, box);
  return logits.reduce((sum, logit) => sum + Math.abs(logit), 0) / logits.length;
}

/** Scales and shifts to try; of equals the first is taken, the region itself. */
function places() {
  const result = [{ scale: 1, x: 0, y: 0 }];
  for (const scale of SCALES) {
    // What is left of a cropped picture lies anywhere in it.
    const furthest = Math.max(STEP, (scale - 1) / 2);
    const steps = Math.ceil(furthest / STEP);
    const shifts = Array.from({ length: 1 + 2 * steps }, (_, i) => (furthest * (i - steps)) / steps);
    for (const x of shifts) for (const y of shifts) result.push({ scale, x, y });
  }
  return result;
}

/** A region scaled about its middle, then moved by parts of its sides. */
function placed(box, { scale, x, y }) {
  const width = box.right - box.left;
  const height = box.bottom - box.top;
  const left = box.left + width * (0.5 - scale / 2 + x);
  const top = box.top + height * (0.5 - scale / 2 + y);
  return rounded({ left, top, right: left + scale * width, bottom: top + scale * height });
}

/** A large picture and its region made smaller, so that looking around costs little. */
function reduced(picture, box, side) {
  const factor = side / Math.min(box.right - box.left, box.bottom - box.top);
  if (factor >= 1) return { picture, box };
  const width = roundHalfToEven(factor * picture.width);
  const height = roundHalfToEven(factor * picture.height);
  const data = shrink(picture, wholePicture(picture), height, width);
  const { left, top, right, bottom } = box;
  const scaled = { left: factor * left, top: factor * top, right: factor * right };
  return {
    picture: { data, width, height },
    box: rounded({ ...scaled, bottom: factor * bottom }),
  };
}

function rounded({ left, top, right, bottom }) {
  const [l, t, r, b] = [left, top, right, bottom].map(roundHalfToEven);
  return { left: l, top: t, right: r, bottom: b };
}

/** As Python rounds. */
function roundHalfToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}
