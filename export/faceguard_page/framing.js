// A picture, and the box that the user draws on it with pointer or keys.

const LEAST = 32;
const STEP = 0.01;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const GROWS = { "+": 1, "=": 1, "-": -1 };

export class Framing {
  /** `stage` holds a <canvas> and the frame; `changed` hears of boxes moved or drawn. */
  constructor(stage, changed) {
    this.stage = stage;
    this.canvas = stage.querySelector("canvas");
    this.frame = stage.querySelector(".frame");
    this.changed = changed;
    this.picture = null;
    this.box = null;
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a picture, without a box. */
  show(picture) {
    this.picture = picture;
    this.canvas.width = picture.width;
    this.canvas.height = picture.height;
    this.canvas.getContext("2d").putImageData(picture, 0, 0);
    this.setBox(null);
  }

  /** Show a box, or none. */
  setBox(box) {
    this.box = box;
    this.frame.hidden = !box;
    this.stage.classList.toggle("framing", box !== null);
    this.stage.tabIndex = box ? 0 : -1;
    if (!box) return;
    const { width, height } = this.picture;
    const percent = (part, whole) => `${(100 * part) / whole}%`;
    this.frame.style.left = percent(box.left, width);
    this.frame.style.top = percent(box.top, height);
    this.frame.style.width = percent(box.right - box.left, width);
    this.frame.style.height = percent(box.bottom - box.top, height);
  }

  /** A square in the middle, where a portrait has its face. */
  middle() {
    const { width, height } = this.picture;
    const side = Math.round(0.8 * Math.min(width, height));
    const left = Math.round((width - side) / 2);
    const top = Math.round((height - side) / 2);
    return { left, top, right: left + side, bottom: top + side };
  }

  #press(event) {
    if (!this.box) return;
    event.preventDefault();
    this.stage.focus();
    this.stage.setPointerCapture(event.pointerId);
    const start = this.#position(event);
    const old = this.box;
    const inside =
      start.x > old.left && start.x < old.right && start.y > old.top && start.y < old.bottom;
    const drag = (moved) => {
      const now = this.#position(moved);
      const [dx, dy] = [now.x - start.x, now.y - start.y];
      this.#change(inside ? this.#moved(old, dx, dy) : this.#drawn(start, dx, dy));
    };
    const drop = new AbortController();
    this.stage.addEventListener("pointermove", drag, { signal: drop.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, () => drop.abort(), { signal: drop.signal });
    }
  }

  #key(event) {
    if (!this.box) return;
    if (event.key in MOVES) {
      const step = event.shiftKey ? 1 : this.#step();
      const [dx, dy] = MOVES[event.key];
      this.#change(this.#moved(this.box, step * dx, step * dy));
    } else if (event.key in GROWS) {
      this.#change(this.#grown(this.box, this.#step() * GROWS[event.key]));
    } else return;
    event.preventDefault();
  }

  /** What a key moves, in pixels: a part of the picture. */
  #step() {
    return Math.max(Math.round(STEP * Math.max(this.picture.width, this.picture.height)), 2);
  }

  #change(box) {
    if (Math.min(box.right - box.left, box.bottom - box.top) < LEAST) return;
    this.setBox(box);
    this.changed(box);
  }

  /** Where the pointer is, in pixels of the picture. */
  #position(event) {
    const shown = this.canvas.getBoundingClientRect();
    const { width, height } = this.picture;
    return {
      x: clamp(Math.round(((event.clientX - shown.left) * width) / shown.width), 0, width),
      y: clamp(Math.round(((event.clientY - shown.top) * height) / shown.height), 0, height),
    };
  }

  /** The box elsewhere, as far as the picture goes. */
  #moved({ left, top, right, bottom }, dx, dy) {
    const { width, height } = this.picture;
    dx = clamp(dx, Math.min(-left, 0), Math.max(width - right, 0));
    dy = clamp(dy, Math.min(-top, 0), Math.max(height - bottom, 0));
    return { left: left + dx, top: top + dy, right: right + dx, bottom: bottom + dy };
  }

  /** A square from a corner towards the pointer: the networks see squares. */
  #drawn({ x, y }, dx, dy) {
    const { width, height } = this.picture;
    const room = Math.min(dx < 0 ? x : width - x, dy < 0 ? y : height - y);
    const side = Math.min(Math.max(Math.abs(dx), Math.abs(dy)), room);
    const left = dx < 0 ? x - side : x;
    const top = dy < 0 ? y - side : y;
    return { left, top, right: left + side, bottom: top + side };
  }

  /** The box with more (or less) on every side, as far as the picture goes on all of them. */
  #grown({ left, top, right, bottom }, more) {
    const { width, height } = this.picture;
    more = Math.min(more, Math.max(Math.min(left, top, width - right, height - bottom), 0));
    return { left: left - more, top: top - more, right: right + more, bottom: bottom + more };
  }
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
