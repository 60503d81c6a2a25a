// A picture on a canvas, and the box that the user draws on it with pointer or keys.

const LEAST = 32;
const STEP = 8;

export class Framing {
  /** `changed` is called when the box has been moved or drawn. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.picture = null;
    this.box = null;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a picture, without a box. */
  show(picture) {
    this.picture = picture;
    this.canvas.width = picture.width;
    this.canvas.height = picture.height;
    this.setBox(null);
  }

  /** Show a box, or none. */
  setBox(box) {
    this.box = box;
    this.canvas.tabIndex = box ? 0 : -1;
    this.canvas.classList.toggle("framing", box !== null);
    this.#draw();
  }

  /** A square in the middle, where a portrait has its face. */
  middle() {
    const { width, height } = this.picture;
    const side = Math.round(0.8 * Math.min(width, height));
    const left = Math.round((width - side) / 2);
    const top = Math.round((height - side) / 2);
    return { left, top, right: left + side, bottom: top + side };
  }

  #draw() {
    const context = this.canvas.getContext("2d");
    context.putImageData(this.picture, 0, 0);
    if (!this.box) return;
    const { left, top, right, bottom } = this.box;
    // Light on dark, visible on any picture.
    const line = Math.max(this.canvas.width / this.canvas.clientWidth, 1) || 1;
    for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * line;
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }

  #press(event) {
    if (!this.box) return;
    event.preventDefault();
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    const start = this.#position(event);
    const old = this.box;
    const inside =
      start.x > old.left && start.x < old.right && start.y > old.top && start.y < old.bottom;
    const move = (moved) => {
      const now = this.#position(moved);
      const [dx, dy] = [now.x - start.x, now.y - start.y];
      if (inside) this.#change(this.#moved(old, dx, dy));
      else if (Math.max(Math.abs(dx), Math.abs(dy)) >= LEAST) this.#change(this.#drawn(start, dx, dy));
    };
    this.canvas.addEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(
        end,
        () => this.canvas.removeEventListener("pointermove", move),
        { once: true },
      );
    }
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const grows = { "+": 1, "=": 1, "-": -1 };
    if (!this.box) return;
    const step = event.shiftKey ? 1 : STEP;
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      this.#change(this.#moved(this.box, step * dx, step * dy));
    } else if (event.key in grows) {
      const more = STEP * grows[event.key];
      const { left, top, right, bottom } = this.box;
      const grown = this.#kept({ left: left - more, top: top - more, right: right + more, bottom: bottom + more });
      if (Math.min(grown.right - grown.left, grown.bottom - grown.top) >= LEAST) this.#change(grown);
    } else return;
    event.preventDefault();
  }

  #change(box) {
    this.setBox(box);
    this.changed(box);
  }

  #position(event) {
    const shown = this.canvas.getBoundingClientRect();
    return {
      x: Math.round(((event.clientX - shown.left) * this.canvas.width) / shown.width),
      y: Math.round(((event.clientY - shown.top) * this.canvas.height) / shown.height),
    };
  }

  /** The box elsewhere, as far as the picture goes. */
  #moved(box, dx, dy) {
    const { width, height } = this.canvas;
    dx = clamp(dx, Math.min(-box.left, 0), Math.max(width - box.right, 0));
    dy = clamp(dy, Math.min(-box.top, 0), Math.max(height - box.bottom, 0));
    return {
      left: box.left + dx,
      top: box.top + dy,
      right: box.right + dx,
      bottom: box.bottom + dy,
    };
  }

  /** A square from a corner towards the pointer: the networks see squares. */
  #drawn(start, dx, dy) {
    const { width, height } = this.canvas;
    const x = clamp(start.x, 0, width);
    const y = clamp(start.y, 0, height);
    const room = Math.min(dx < 0 ? x : width - x, dy < 0 ? y : height - y);
    const side = Math.min(Math.max(Math.abs(dx), Math.abs(dy)), room);
    if (side < LEAST) return this.box;
    const left = dx < 0 ? x - side : x;
    const top = dy < 0 ? y - side : y;
    return { left, top, right: left + side, bottom: top + side };
  }

  #kept(box) {
    const { width, height } = this.canvas;
    return {
      left: clamp(box.left, 0, width),
      top: clamp(box.top, 0, height),
      right: clamp(box.right, 0, width),
      bottom: clamp(box.bottom, 0, height),
    };
  }
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
