// The page: what its buttons do.

import { places } from "./alignment.js";
import { embedWeakly, verify, wholePicture } from "./embedding.js";
import { Framing } from "./framing.js";
import { bytesOfHex, fingerprint, formatKey, generateKey, parseKey, watermarkBits } from "./keys.js";
import { loadNetworks } from "./networks.js";
import {
  closeCamera,
  halfSize,
  openCamera,
  readPicture,
  takePicture,
  writePicture,
} from "./pictures.js";

const NOT_VERIFIED =
  "The picture was manipulated, never stamped with this key, or processed beyond what the mark " +
  "stands. These cannot be told apart.";

const element = (id) => document.getElementById(id);
const framing = new Framing(element("stage"), (box) => {
  element("box").value = formatBox(box);
  forgetResult();
});

let networks = null;
let key = null;
let stem = "picture";
let busy = 0;
let last = Promise.resolve();

start();

on("key-form", "submit", async () => {
  await useKey(generateKey(element("identity").value));
  element("key-state").append(" Download it now: closing the page forgets it.");
});

on("key-file", "change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) await useKey(parseKey(await file.text()));
});

on("key-save", "click", () => {
  save(new Blob([formatKey(key)], { type: "application/json" }), "faceguard.key");
});

on("picture-file", "change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) usePicture(await readPicture(file), file.name);
});

on("camera-open", "click", async () => {
  await openCamera(element("camera-view"));
  element("camera").hidden = false;
});

on("camera-take", "click", () => {
  usePicture(takePicture(element("camera-view")), "camera");
  leaveCamera();
});

on("camera-close", "click", leaveCamera);

for (const choice of document.getElementsByName("where")) {
  choice.addEventListener("change", () => attempt(chooseWhere));
}

on("box", "change", () => {
  forgetResult();
  framing.setBox(parseBox(element("box").value));
});

on("stamp", "click", async () => {
  const box = region();
  const quality = Number(element("quality").value);
  if (!element("quality").checkValidity()) throw new Error("JPEG quality goes from 1 to 100.");
  const bits = await expectedBits();
  const format = element("format").value;
  let file;
  // From the file: a JPEG has lost some of it.
  const written = async (picture) => {
    file = await writePicture(picture, stem, format, quality);
    return readPicture(file.blob);
  };
  const sent = async (picture) =>
    readPicture((await writePicture(halfSize(picture), stem, "jpeg", 75)).blob);
  const marked = await embedWeakly(networks, framing.picture, bits, box, written, sent);
  offer(file);
  const { check } = marked;
  const kilobytes = Math.ceil(file.blob.size / 1000).toLocaleString("en");
  const where = element("box-part").hidden ? "whole picture" : `box ${formatBox(box)}`;
  let advice = "It is verified, and after JPEG 75 at half the size.";
  if (!marked.sent?.verified) {
    const until = check.verified ? "after JPEG 75 at half the size" : "in this very file";
    advice = `It is not verified ${until}: try PNG, a higher quality, or a larger region.`;
  }
  tell(
    check.verified && marked.sent?.verified ? "yes" : "no",
    `Stamped for ${key.identity}.`,
    `${file.format}, ${kilobytes} kB; ${where}; strength ${marked.strength.toPrecision(3)}; ` +
      `${check.matches} of ${check.n} bits read back. ${advice}`,
  );
});

on("verify", "click", async () => {
  // A crop moves the mark, and a box drawn by hand is not the one of before.
  const boxes = await places(networks, framing.picture, region());
  const found = await verify(networks, framing.picture, await expectedBits(), boxes);
  // How well it matches is for nobody to hear who forges: the command says it with --verbose.
  if (found.verified) tell("yes", "Verified.", `The mark of ${key.identity} is there.`);
  else tell("no", "Not verified.", NOT_VERIFIED);
});

async function start() {
  try {
    networks = await loadNetworks();
    element("state").textContent = `Ready. ${networks.name}, ${networks.messageLength} bits.`;
  } catch (error) {
    element("state").textContent = `The networks could not be loaded. ${error.message}`;
    element("state").className = "error";
  }
  refresh();
}

async function useKey(newKey) {
  key = newKey;
  element("key-state").textContent =
    `Key of ${key.identity}, fingerprint ${await fingerprint(key.secret)}.`;
  element("key-save").hidden = false;
  forgetResult();
}

function usePicture(picture, name) {
  element("picture").hidden = false;
  framing.show(picture);
  stem = name.replace(/\.[^.]*$/, "") || "picture";
  element("picture-state").textContent = `${name}, ${picture.width} × ${picture.height} pixels.`;
  chooseWhere();
}

function chooseWhere() {
  const boxed = document.querySelector("[name=where]:checked").value === "box";
  element("box-part").hidden = !boxed;
  framing.setBox(boxed ? framing.middle() : null);
  element("box").value = boxed ? formatBox(framing.box) : "";
  forgetResult();
}

function leaveCamera() {
  closeCamera(element("camera-view"));
  element("camera").hidden = true;
}

function region() {
  if (element("box-part").hidden) return wholePicture(framing.picture);
  return parseBox(element("box").value);
}

async function expectedBits() {
  const nonce = bytesOfHex(element("nonce").value, "The nonce");
  return watermarkBits(key.secret, key.identity, networks.messageLength, nonce);
}

function parseBox(text) {
  const sides = text.split(",").map((side) => side.trim());
  if (sides.length !== 4 || !sides.every((side) => /^-?\d+$/.test(side))) {
    throw new Error("A box is four whole numbers: left, top, right, bottom.");
  }
  const [left, top, right, bottom] = sides.map(Number);
  return { left, top, right, bottom };
}

function formatBox({ left, top, right, bottom }) {
  return [left, top, right, bottom].join(",");
}

function offer(file) {
  const link = element("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(file.blob);
  link.download = file.name;
  link.textContent = `Download ${file.name}`;
  element("stamped-view").src = link.href;
  element("stamped").hidden = false;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function forgetResult() {
  tell("", "", "");
  element("stamped").hidden = true;
}

function tell(kind, verdict, text) {
  const result = element("result");
  result.className = kind;
  result.replaceChildren();
  if (!verdict) return;
  const strong = document.createElement("strong");
  strong.textContent = verdict;
  result.append(strong, text);
}

function on(id, event, action) {
  element(id).addEventListener(event, (happening) => {
    happening.preventDefault();
    attempt(() => action(happening));
  });
}

/** One thing after the other; what goes wrong is told in one line. */
function attempt(action) {
  busy += 1;
  refresh();
  last = last.then(async () => {
    try {
      await action();
    } catch (error) {
      element("stamped").hidden = true;
      tell("no", "That did not work.", error.message);
    }
    busy -= 1;
    refresh();
  });
}

function refresh() {
  document.body.setAttribute("aria-busy", String(busy > 0));
  const ready = networks && key && framing.picture && !busy;
  for (const id of ["stamp", "verify"]) element(id).disabled = !ready;
}
