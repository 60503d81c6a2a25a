// Find how a marked region was cropped or framed anew: `keras_imaging.watermark.alignment`.

import { extract, leastCover, MIN_SIDE, wholePicture } from "./embedding.js";
import { roundHalfToEven, shrink } from "./region.js";

const SCALES = [0.89, 0.94, 1.0, 1.06, 1.12];
const STEP = 0.04;
const SURE = 6;
const KEPT = 3;
const REFINEMENTS = [
  [0.03, 0.02],
  [0.03, 0.02],
  [0.015, 0.01],
  [0.015, 0.01],
];

/** The regions near a box where the decoder is surest, whichever bits it reads there. */
export async function places(networks, picture, box) {
  if ((await sureness(networks, picture, box)) >= SURE) return [box];
  const small = reduced(picture, box, 2 * networks.imageSize);
  const known = new Map();
  const look = async (candidates) => {
    for (const place of candidates) {
      const name = place.join();
      if (known.has(name)) continue;
      const region = placed(small.box, place);
      const found = fits(small.picture, region) ? await sureness(networks, small.picture, region) : 0;
      known.set(name, { place, sureness: found });
    }
  };
  const sure = (place) => known.get(place.join()).sureness;
  const apart = (ranked) => {
    const kept = [];
    for (const place of ranked) {
      if (kept.every((other) => distance(place, other) > 1)) kept.push(place);
      if (kept.length === KEPT) break;
    }
    return kept;
  };
  await look(ring());
  const all = Array.from(known.values(), (entry) => entry.place);
  let kept = apart(all.sort((one, other) => sure(other) - sure(one)));
  for (const [scaleStep, step] of REFINEMENTS) {
    const around = kept.map((place) => neighbours(place, scaleStep, step));
    for (const near of around) await look(near);
    kept = around.map((near) => near.reduce((a, b) => (sure(b) > sure(a) ? b : a)));
  }
  kept = apart(kept.sort((one, other) => sure(other) - sure(one)));
  return kept.map((place) => placed(box, place));
}

function fits(picture, region) {
  const width = region.right - region.left;
  const height = region.bottom - region.top;
  const least = Math.min(width, height, leastCover(picture, region));
  return least >= MIN_SIDE && width <= 2 * picture.width && height <= 2 * picture.height;
}

/** In steps of the search. */
function distance(one, other) {
  const [scale, x, y] = one.map((value, i) => Math.abs(value - other[i]));
  return Math.max(scale / 0.05, x / STEP, y / STEP);
}

function neighbours([scale, x, y], scaleStep, step) {
  const result = [[scale, x, y]];
  for (const sign of [-1, 1]) result.push([scale + sign * scaleStep, x, y]);
  for (const sign of [-1, 1]) result.push([scale, x + sign * step, y]);
  for (const sign of [-1, 1]) result.push([scale, x, y + sign * step]);
  return result;
}

async function sureness(networks, picture, box) {
  const logits = await extract(networks, picture, box);
  return logits.reduce((sum, logit) => sum + Math.abs(logit), 0) / logits.length;
}

/** Scales and shifts to try; of equals the first is taken, the region itself. */
function ring() {
  const result = [[1, 0, 0]];
  for (const scale of SCALES) {
    // What is left of a cropped picture lies anywhere in it.
    const furthest = Math.max(STEP, (scale - 1) / 2);
    const steps = Math.ceil(furthest / STEP);
    const shifts = Array.from({ length: 1 + 2 * steps }, (_, i) => (furthest * (i - steps)) / steps);
    for (const x of shifts) for (const y of shifts) result.push([scale, x, y]);
  }
  return result;
}

/** A region scaled about its middle, then moved by parts of its sides. */
function placed(box, [scale, x, y]) {
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
