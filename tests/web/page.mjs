// Does with the page what a person would, and prints what came of it as JSON.
// Usage: node page.mjs JOB.json; the paths in the job are made by test_page.py.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(path.join(job.page, "package.json"));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
  ],
});
const result = { requests: [], errors: [] };

async function open(url, size, prepare = () => {}) {
  const context = await browser.newContext({ viewport: size, acceptDownloads: true });
  context.on("request", (request) => result.requests.push(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => result.errors.push(error.message));
  page.on("console", (line) => {
    // LiteRT.js tells what it does on stderr; there is no GPU here, nor is one asked for.
    const chatter = /^(INFO|WARNING|VERBOSE):|WebGPU/i.test(line.text());
    if (line.type() === "error" && !chatter) result.errors.push(line.text());
  });
  await prepare(page);
  await page.goto(url);
  return page;
}

async function choose(page, id, file) {
  await page.setInputFiles(`#${id}`, file);
}

async function download(page, selector, name) {
  const [item] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
  await item.saveAs(path.join(job.out, name));
  return item.suggestedFilename();
}

/** Press a button and wait for what the page says. */
async function press(page, id) {
  await page.waitForFunction((id) => !document.getElementById(id).disabled, id);
  await page.evaluate(() => document.getElementById("result").replaceChildren());
  await page.click(`#${id}`);
  return told(page);
}

async function told(page) {
  await page.waitForFunction(() => document.getElementById("result").textContent !== "");
  return page.textContent("#result");
}

async function boxed(page, text) {
  await page.check("[value=box]");
  await page.fill("#box", text);
  await page.press("#box", "Tab");
}

try {
  let page = await open(job.board, { width: 1280, height: 900 });
  await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Ready"));
  result.isolated = await page.evaluate(() => crossOriginIsolated);
  result.bits = await page.evaluate(async (vectors) => {
    const { bytesOfHex, watermarkBits } = await import("./keys.js");
    const bits = (v) =>
      watermarkBits(bytesOfHex(v.key, ""), v.identity, v.n, bytesOfHex(v.nonce, ""));
    return Promise.all(vectors.map(async (v) => (await bits(v)).join("")));
  }, job.vectors);
  result.tests = await page.evaluate(async (cases) => {
    const { binomialTail, matchThreshold } = await import("./statistics.js");
    return cases.map(([n, k, alpha, candidates]) => [
      binomialTail(n, k),
      matchThreshold(n, alpha, candidates),
    ]);
  }, job.tests);

  await choose(page, "key-file", job.not_a_key);
  result.bad_key = await told(page);
  await choose(page, "key-file", job.key);
  await page.click("#key-save:visible", { trial: true });
  result.key_state = await page.textContent("#key-state");
  await download(page, "#key-save", "same.key");

  await choose(page, "picture-file", job.picture);
  // The box comes first: a mark in the whole picture outlives its face.
  result.first = await page.isChecked("[value=box]");
  await page.check("[value=whole]");
  result.png = await press(page, "stamp");
  result.png_name = await download(page, "#download", "whole.png");
  await page.screenshot({ path: path.join(job.out, "desktop.png"), fullPage: true });
  await page.click("summary:has-text('Format')");
  await page.selectOption("#format", "jpeg");
  await page.fill("#quality", "90");
  result.jpeg = await press(page, "stamp");
  result.jpeg_name = await download(page, "#download", "whole.jpg");
  await page.selectOption("#format", "png");
  await boxed(page, job.box);
  result.box = await press(page, "stamp");
  await download(page, "#download", "box.png");
  await boxed(page, "1,2,3");
  result.bad_box = await told(page);

  await choose(page, "picture-file", job.stamped_box);
  await boxed(page, job.box);
  result.verified_box = await press(page, "verify");
  await page.check("[value=whole]");
  await choose(page, "picture-file", job.stamped_jpeg);
  result.verified = await press(page, "verify");
  await choose(page, "picture-file", job.cropped);
  result.cropped = await press(page, "verify");
  await choose(page, "picture-file", job.stamped_jpeg);
  await page.fill("#nonce", "0123");
  result.wrong_nonce = await press(page, "verify");
  await choose(page, "picture-file", job.stamped_nonce);
  await page.fill("#nonce", job.nonce);
  result.right_nonce = await press(page, "verify");
  await page.fill("#nonce", "");
  await choose(page, "picture-file", job.picture);
  result.unmarked = await press(page, "verify");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: path.join(job.out, "dark.png"), fullPage: true });
  await choose(page, "picture-file", job.transparent);
  result.transparent = await told(page);
  await choose(page, "picture-file", job.key);
  result.no_picture = await told(page);

  await choose(page, "picture-file", job.picture);
  await page.check("[value=box]");
  const stage = await page.locator("#stage canvas").boundingBox();
  const scale = stage.width / job.width;
  // From outside of the box in the middle: a new one.
  await page.mouse.move(stage.x + 2 * scale, stage.y + 2 * scale);
  await page.mouse.down();
  await page.mouse.move(stage.x + 62 * scale, stage.y + 82 * scale, { steps: 3 });
  await page.mouse.up();
  result.drawn = await page.inputValue("#box");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("+");
  result.moved = await page.inputValue("#box");
  await page.context().close();

  page = await open(job.board, { width: 390, height: 844 });
  await page.click("summary:has-text('Make a new key')");
  await page.fill("#identity", "Zoë");
  await page.click("#key-form button");
  await download(page, "#key-save", "new.key");
  await page.click("#camera-open");
  await page.click("#camera-take");
  await page.waitForSelector("#picture:not([hidden])");
  result.camera = await page.textContent("#picture-state");
  await page.check("[value=box]");
  result.camera_stamp = await press(page, "stamp");
  result.overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  await page.screenshot({ path: path.join(job.out, "phone.png"), fullPage: true });
  await page.context().close();

  // The real networks, without the buttons: the same numbers as in Python.
  page = await open(job.guards, { width: 400, height: 400 }, (page) =>
    page.route("**/main.js", (route) =>
      route.fulfill({ contentType: "text/javascript", body: "" }),
    ),
  );
  result.guards = await page.evaluate(async ({ pixels, width, height, bits, box }) => {
    const { loadNetworks } = await import("./networks.js");
    const { embed, extract } = await import("./embedding.js");
    const networks = await loadNetworks();
    const picture = new ImageData(new Uint8ClampedArray(pixels), width, height);
    return {
      stamped: Array.from((await embed(networks, picture, bits, box)).data),
      logits: Array.from(await extract(networks, picture, box)),
    };
  }, job.direct);
  await page.context().close();
} finally {
  await browser.close();
}
console.log(JSON.stringify(result));
