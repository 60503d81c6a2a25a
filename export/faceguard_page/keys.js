// Keys, and the bits that a key gives a person's pictures: `keras_imaging.watermark.keys`.

const FORMAT = "keras_imaging.faceguard.key.v1";
const CONTEXT = "keras_imaging.faceguard.v1\0";
const FINGERPRINT_CONTEXT = "keras_imaging.faceguard.fingerprint.v1\0";
const MIN_KEY_BYTES = 16;
const MAX_IDENTITY_BYTES = 1024;

/** A new key of 32 random bytes: {secret, identity}. */
export function generateKey(identity) {
  identityBytes(identity);
  return { secret: crypto.getRandomValues(new Uint8Array(32)), identity };
}

/** The key in the text of a key file. Errors never quote it: it may hold a secret. */
export function parseKey(text) {
  let fields;
  try {
    fields = JSON.parse(text);
  } catch {
    fields = null;
  }
  if (fields?.format !== FORMAT || typeof fields.key !== "string") {
    throw new Error(`This is no key file (format ${FORMAT}).`);
  }
  const key = { secret: bytesOfHex(fields.key, "The key in the file"), identity: fields.identity };
  if (key.secret.length < MIN_KEY_BYTES) {
    throw new Error(`A key has at least ${MIN_KEY_BYTES} bytes; this has ${key.secret.length}.`);
  }
  identityBytes(key.identity);
  return key;
}

/** The text of a key file, equal to the one that Python writes. */
export function formatKey(key) {
  const fields = { format: FORMAT, identity: key.identity, key: hexOfBytes(key.secret) };
  const ascii = JSON.stringify(fields, null, 2).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `${ascii}\n`;
}

/** The `length` bits (a Uint8Array of 0 and 1) that a person's picture is marked with. */
export async function watermarkBits(secret, identity, length, nonce = new Uint8Array()) {
  const name = identityBytes(identity);
  const message = [encode(CONTEXT), be32(name.length), name, be32(nonce.length), nonce, be32(length)];
  const bits = new Uint8Array(length);
  for (let block = 0; 256 * block < length; block++) {
    const digest = await hmac(secret, [...message, be32(block)]);
    const first = 256 * block;
    for (let i = first; i < Math.min(first + 256, length); i++) {
      bits[i] = (digest[(i - first) >> 3] >> (7 - (i & 7))) & 1;
    }
  }
  return bits;
}

/** A short public name of a key, 16 hexadecimal digits. */
export async function fingerprint(secret) {
  return hexOfBytes(await hmac(secret, [encode(FINGERPRINT_CONTEXT)])).slice(0, 16);
}

/** Bytes of hexadecimal digits; `what` names them in the error. */
export function bytesOfHex(text, what) {
  const digits = text.replace(/\s/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) {
    throw new Error(`${what} must be pairs of hexadecimal digits.`);
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOfBytes(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function hmac(secret, parts) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const message = await new Blob(parts).arrayBuffer();
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
}

function identityBytes(identity) {
  if (typeof identity !== "string" || !identity.trim() || !identity.isWellFormed()) {
    throw new Error("Give the name of the person whose pictures are stamped.");
  }
  const name = encode(identity.normalize("NFC"));
  if (name.length > MAX_IDENTITY_BYTES) {
    throw new Error(`A name has at most ${MAX_IDENTITY_BYTES} bytes; this has ${name.length}.`);
  }
  return name;
}

function encode(text) {
  return new TextEncoder().encode(text);
}

function be32(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}
