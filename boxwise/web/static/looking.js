// How the picture is looked at: brightness, contrast, and a magnifier under the pointer. Changes no pixel of the study's.

import { element } from "./dom.js";
import { remember, remembered } from "./tabs.js";

const KEY = "boxwise/looking";
const LENS = 170, MAGNIFIED = 4; // pixels of the lens; screen pixels a pixel that is shown without it

export class Looking {
  #lens = element("lens");
  #pen = element("lens").getContext("2d");
  #on = false;

  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    Object.assign(this.#lens, { width: LENS, height: LENS });
    for (const name of ["brightness", "contrast"]) {
      element(name).value = remembered("localStorage", KEY, {})[name] ?? 100;
      element(name).addEventListener("input", () => this.#filter());
    }
    this.#filter();
    view.stage.addEventListener("pointermove", (event) => this.#on && this.#draw(view.at(event)));
    view.stage.addEventListener("pointerleave", () => { this.#lens.hidden = true; });
  }

  /** Turns the magnifier on and off. */
  magnify() {
    this.#on = !this.#on;
    this.#lens.hidden = true;
    document.querySelector("[data-action=magnify]").setAttribute("aria-pressed", String(this.#on));
  }

  plainPicture() {
    for (const name of ["brightness", "contrast"]) element(name).value = 100;
    this.#filter();
  }

  #filter() {
    const [brightness, contrast] = ["brightness", "contrast"].map((name) => Number(element(name).value));
    remember("localStorage", KEY, { brightness, contrast });
    const filter = brightness === 100 && contrast === 100 ? "" : `brightness(${brightness}%) contrast(${contrast}%)`;
    this.view.picture.style.filter = this.#lens.style.filter = filter;
  }

  #draw([x, y]) {
    const image = this.view.picture.querySelector("img");
    this.#lens.hidden = !image?.naturalWidth;
    if (this.#lens.hidden) return;
    const [centre, middle] = this.view.toImage([x, y]), side = LENS / MAGNIFIED / this.view.scale;
    const [across, down] = [image.naturalWidth / image.width, image.naturalHeight / image.height]; // of a picture sent reduced
    this.#pen.fillStyle = "#000";
    this.#pen.fillRect(0, 0, LENS, LENS);
    this.#pen.imageSmoothingEnabled = this.view.scale * MAGNIFIED < 3;
    this.#pen.drawImage(image, (centre - side / 2) * across, (middle - side / 2) * down, side * across, side * down, 0, 0, LENS, LENS);
    for (const box of this.view.visible()) this.#outline(box, centre - side / 2, middle - side / 2, LENS / side);
    this.#cross();
    const beside = x > this.view.stage.clientWidth - LENS - 40 ? -LENS - 20 : 20;
    Object.assign(this.#lens.style, { left: `${x + beside}px`, top: `${Math.max(4, y - LENS - 20)}px` });
  }

  #outline(box, left, top, scale) {
    const [x1, y1, x2, y2] = box.xyxy;
    this.#pen.strokeStyle = this.view.classes[box.label]?.color ?? "#fff";
    this.#pen.lineWidth = 2;
    this.#pen.strokeRect((x1 - left) * scale, (y1 - top) * scale, (x2 - x1) * scale, (y2 - y1) * scale);
  }

  #cross() {
    this.#pen.strokeStyle = "#fff9";
    this.#pen.lineWidth = 1;
    this.#pen.strokeRect(LENS / 2, 0, 0, LENS);
    this.#pen.strokeRect(0, LENS / 2, LENS, 0);
  }
}
