// The original pixels of a picture that was sent reduced: squares of it, fetched for the part that is looked at, once it is so near that
// the reduced picture would blur. Puts images into the picture's element; knows nothing of boxes or gestures.

import { inPath } from "./api.js";

const PAUSE_MS = 150; // after the last move, so that what is only passed over is not fetched
const MOST = 40;

export class Tiles {
  #task = null;
  #shown = new Map(); // "column/row" → image
  #timer = 0;

  /** @param {HTMLElement} picture in pixels of the image */
  constructor(picture) {
    this.picture = picture;
  }

  /** @param {{tiles: number | null, width: number, height: number, image_id: string} | null} task */
  show(task) {
    clearTimeout(this.#timer);
    for (const image of this.#shown.values()) image.remove();
    this.#shown.clear();
    this.#task = task?.tiles ? task : null;
  }

  /**
   * The view has moved. @param {number[]} seen the part of the image on the stage, x1, y1, x2, y2
   * @param {number} scale screen pixels a pixel of the image
   * @param {number} reduced pixels of the reduced picture a pixel of the image
   */
  look(seen, scale, reduced) {
    if (!this.#task) return;
    clearTimeout(this.#timer);
    if (scale * devicePixelRatio > 1.1 * reduced) this.#timer = setTimeout(() => this.#fetch(seen), PAUSE_MS);
  }

  #fetch([x1, y1, x2, y2]) {
    const { tiles: side, width, height } = this.#task;
    const from = [x1, y1].map((edge) => Math.max(0, Math.floor(edge / side)));
    const last = [Math.min(x2, width - 1), Math.min(y2, height - 1)].map((edge) => Math.floor(edge / side));
    for (let row = from[1]; row <= last[1]; row++) {
      for (let column = from[0]; column <= last[0]; column++) this.#put(column, row);
    }
    for (const [key, image] of [...this.#shown].slice(0, Math.max(0, this.#shown.size - MOST))) {
      image.remove();
      this.#shown.delete(key);
    }
  }

  #put(column, row) {
    const key = `${column}/${row}`, { image_id: imageId, tiles: side } = this.#task, known = this.#shown.get(key);
    if (known) { // looked at again: the last to go
      this.#shown.delete(key);
      this.#shown.set(key, known);
      return;
    }
    const image = new Image();
    Object.assign(image, { alt: "", draggable: false, className: "tile" });
    Object.assign(image.style, { left: `${column * side}px`, top: `${row * side}px` });
    image.onerror = () => { image.remove(); this.#shown.delete(key); }; // asked for again at the next move
    image.src = `/tiles/${key}/${inPath(imageId)}`;
    this.#shown.set(key, image);
    this.picture.append(image);
  }
}
