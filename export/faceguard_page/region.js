// A region of a picture, shrunk to a network's input; and a change, enlarged onto the region:
// `keras_imaging.watermark.region`. Antialiased bilinear, half-pixel centres, mirrored ends.
// A picture is an ImageData, or the same of RGB in 0..1, as `shrink` makes; a box is
// {left, top, right, bottom} in whole pixels.

/** The RGB of a region as a Float32Array (tall, wide, 3) in 0..1; outside, the border repeats. */
export function shrink(picture, box, tall, wide = tall) {
  const { data, width, height } = picture;
  const [channels, white] = data instanceof Float32Array ? [3, 1] : [4, 255];
  const rows = axisTaps(box.bottom - box.top, tall, box.top, height);
  const columns = axisTaps(box.right - box.left, wide, box.left, width);
  const result = new Float32Array(tall * wide * 3);
  const row = new Float64Array(width * 3);
  for (let y = 0; y < tall; y++) {
    row.fill(0);
    for (let tap = 0; tap < rows.count; tap++) {
      const weight = rows.weights[y * rows.count + tap];
      if (weight === 0) continue;
      let from = rows.index[y * rows.count + tap] * width * channels;
      for (let x = 0; x < row.length; x += 3, from += channels) {
        row[x] += weight * data[from];
        row[x + 1] += weight * data[from + 1];
        row[x + 2] += weight * data[from + 2];
      }
    }
    for (let x = 0; x < wide; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let tap = 0; tap < columns.count; tap++) {
          const at = x * columns.count + tap;
          sum += columns.weights[at] * row[columns.index[at] * 3 + channel];
        }
        result[(y * wide + x) * 3 + channel] = sum / white;
      }
    }
  }
  return result;
}

/** A new picture: plus a change (size, size), in parts of white, clipped and rounded half up. */
export function addEnlarged(picture, change, size, box) {
  const { width, height } = picture;
  const result = new ImageData(new Uint8ClampedArray(picture.data), width, height);
  const rows = axisTaps(size, box.bottom - box.top);
  const columns = axisTaps(size, box.right - box.left);
  const left = Math.max(box.left, 0);
  const right = Math.min(box.right, width);
  const narrow = new Float64Array(size);
  for (let y = Math.max(box.top, 0); y < Math.min(box.bottom, height); y++) {
    narrow.fill(0);
    for (let tap = 0; tap < rows.count; tap++) {
      const at = (y - box.top) * rows.count + tap;
      const from = rows.index[at] * size;
      for (let x = 0; x < size; x++) narrow[x] += rows.weights[at] * change[from + x];
    }
    for (let x = left; x < right; x++) {
      let added = 0;
      for (let tap = 0; tap < columns.count; tap++) {
        const at = (x - box.left) * columns.count + tap;
        added += columns.weights[at] * narrow[columns.index[at]];
      }
      const to = (y * width + x) * 4;
      for (let channel = to; channel < to + 3; channel++) {
        // The array clips.
        result.data[channel] = Math.floor(picture.data[channel] + 255 * added + 0.5);
      }
    }
  }
  return result;
}

/** Weights and indices, `count` for each output sample; indices moved by offset, kept in limit. */
function axisTaps(inLength, outLength, offset = 0, limit = inLength) {
  const scale = outLength / inLength;
  const stretch = Math.min(scale, 1);
  const width = 2 / stretch;
  const count = Math.ceil(width) + 2;
  const weights = new Float32Array(outLength * count);
  const index = new Int32Array(outLength * count);
  for (let i = 0; i < outLength; i++) {
    // One-based, as in MATLAB's imresize.
    const centre = (i + 1) / scale + 0.5 * (1 - 1 / scale);
    const first = Math.floor(centre - width / 2);
    const own = Array.from({ length: count }, (_, tap) =>
      Math.max(1 - Math.abs(stretch * (centre - first - tap)), 0),
    );
    const sum = own.reduce((a, b) => a + b);
    for (let tap = 0; tap < count; tap++) {
      const period = 2 * inLength;
      let source = (((first + tap - 1) % period) + period) % period;
      if (source >= inLength) source = period - 1 - source;
      weights[i * count + tap] = own[tap] / sum;
      index[i * count + tap] = Math.min(Math.max(source + offset, 0), limit - 1);
    }
  }
  return { weights, index, count };
}

/** As Python rounds. */
export function roundHalfToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}
