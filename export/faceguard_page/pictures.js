// Picture files in and out, and pictures from the camera.

import { shrink } from "./region.js";

/** A file as ImageData, upright, in sRGB. */
export async function readPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Error("This file is no picture that the browser can read.");
  }
  const picture = pixels(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  for (let i = 3; i < picture.data.length; i += 4) {
    // A canvas changes the colours of such pixels, and with them the mark.
    if (picture.data[i] !== 255) {
      throw new Error(
        "The picture has transparent parts, which this page cannot keep. " +
          "Use the command keras-imaging watermark.",
      );
    }
  }
  return picture;
}

/** The picture as a file: {blob, name, format}; quality is that of JPEG, 1 to 100. */
export async function writePicture(picture, stem, format, quality) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
  const jpeg = format === "jpeg";
  const blob = await new Promise((done) =>
    canvas.toBlob(done, jpeg ? "image/jpeg" : "image/png", quality / 100),
  );
  if (!blob) throw new Error("The picture is too large for this browser.");
  return {
    blob,
    name: `${stem}_stamped.${jpeg ? "jpg" : "png"}`,
    format: jpeg ? `JPEG, quality ${quality}` : "PNG, lossless",
  };
}

/** A picture at half its size, as ImageData; its pixels are averages. */
export function halfSize(picture) {
  const [wide, tall] = [picture.width, picture.height].map((side) => Math.max(1, side >> 1));
  const box = { left: 0, top: 0, right: picture.width, bottom: picture.height };
  const small = shrink(picture, box, tall, wide);
  const result = new ImageData(wide, tall);
  for (let i = 0; i < wide * tall; i++) {
    for (let c = 0; c < 3; c++) result.data[4 * i + c] = Math.floor(255 * small[3 * i + c] + 0.5);
    result.data[4 * i + 3] = 255;
  }
  return result;
}

/** Show the camera in a <video>; needs the user's leave. */
export async function openCamera(video) {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  } catch (error) {
    throw new Error(`The camera cannot be used: ${error.message}.`);
  }
  await video.play();
}

/** The picture that a <video> shows. */
export function takePicture(video) {
  return pixels(video, video.videoWidth, video.videoHeight);
}

/** Switch the camera off. */
export function closeCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

function pixels(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  try {
    context.drawImage(source, 0, 0);
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new Error(`A picture of ${width} x ${height} pixels is too large for this browser.`);
  }
}
