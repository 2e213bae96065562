// The map of the pool: a point an image, in the plane in which the embeddings vary most, and a region that a person draws on it.
// Knows places and marks; nothing of images, filters or the server.

import { svg } from "./dom.js";

const WIDTH = 1000, HEIGHT = 620, EDGE = 14;
const STEP = 0.05; // of the map's side: what an arrow moves a region by
const LEAST = 0.01; // a smaller region was a click
const SHAPES = {
  pool: (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0`,
  asked: (x, y) => `M${x} ${y - 8}l8 8l-8 8l-8 -8z`,
  labelled: (x, y) => `M${x - 6} ${y - 6}h12v12h-12z`,
  suspect: (x, y) => `M${x} ${y - 9}l9 16h-18z`,
  wanted: (x, y) => `M${x - 3} ${y - 9}h6v6h6v6h-6v6h-6v-6h-6v-6h6z`,
  val: (x, y) => `M${x - 5} ${y - 7}h10v3h-10z`,
  test: (x, y) => `M${x - 7} ${y - 5}h3v10h-3z`,
  flagged: (x, y) => `M${x - 8} ${y - 2}h16v4h-16z`,
};

/** A mark alone, for the legend. */
export function markOf(name) {
  return svg("svg", { viewBox: "-10 -10 20 20", "aria-hidden": "true" }, svg("path", { class: `mark ${name}`, d: SHAPES[name](0, 0) }));
}

export class PoolMap {
  #from = null;

  /** @param {SVGSVGElement} stage @param {(region: number[] | null) => void} chosen x1, y1, x2, y2, each of 0 to 1 */
  constructor(stage, chosen) {
    this.stage = stage;
    this.chosen = chosen;
    this.region = null;
    this.points = svg("g");
    this.frame = svg("rect", { class: "region", visibility: "hidden" });
    stage.append(this.points, this.frame);
    stage.addEventListener("pointerdown", (event) => this.#begin(event));
    stage.addEventListener("pointermove", (event) => this.#from && this.#stretch(event));
    stage.addEventListener("pointerup", (event) => this.#end(event));
    stage.addEventListener("pointercancel", () => { this.#from = null; });
    stage.addEventListener("keydown", (event) => this.#key(event));
  }

  /** points: [[x, y, index into marks]]; one path a mark, so that thousands are drawn at once. */
  show({ points, marks }) {
    this.points.replaceChildren(...marks.map((name, index) => {
      const d = points.filter((point) => point[2] === index).map(([x, y]) => SHAPES[name](...this.#place(x, y))).join("");
      return svg("path", { class: `mark ${name}`, d });
    }));
  }

  choose(region) {
    this.#draw(region);
    this.chosen(this.region);
  }

  #place(x, y) {
    return [Math.round(EDGE + x * (WIDTH - 2 * EDGE)), Math.round(HEIGHT - EDGE - y * (HEIGHT - 2 * EDGE))];
  }

  #draw(region) {
    this.region = region;
    this.frame.setAttribute("visibility", region ? "visible" : "hidden");
    if (!region) return;
    const [left, bottom] = this.#place(region[0], region[1]), [right, top] = this.#place(region[2], region[3]);
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) this.frame.setAttribute(name, value);
  }

  #at(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const scale = Math.min(width / WIDTH, height / HEIGHT); // the picture keeps its shape within the element
    const x = (event.clientX - left - (width - scale * WIDTH) / 2) / scale, y = (event.clientY - top - (height - scale * HEIGHT) / 2) / scale;
    return [(x - EDGE) / (WIDTH - 2 * EDGE), (HEIGHT - EDGE - y) / (HEIGHT - 2 * EDGE)].map((value) => Math.min(1, Math.max(0, value)));
  }

  #begin(event) {
    if (event.button) return;
    this.#from = this.#at(event);
    this.stage.setPointerCapture(event.pointerId);
  }

  #stretch(event) {
    const [x, y] = this.#at(event), [a, b] = this.#from;
    this.#draw([Math.min(a, x), Math.min(b, y), Math.max(a, x), Math.max(b, y)]);
  }

  #end(event) {
    if (!this.#from) return;
    this.#stretch(event);
    this.#from = null;
    const [x1, y1, x2, y2] = this.region;
    this.choose(Math.max(x2 - x1, y2 - y1) < LEAST ? null : this.region);
  }

  #key(event) {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] }[event.key];
    if (event.key === "Escape") return this.choose(null);
    if (!by) return undefined;
    event.preventDefault();
    const [x1, y1, x2, y2] = this.region ?? [0.375, 0.375, 0.625, 0.625];
    if (!this.region) return this.choose([x1, y1, x2, y2]);
    const moved = event.shiftKey ? [x1, y1, x2 + by[0], y2 + by[1]] : [x1 + by[0], y1 + by[1], x2 + by[0], y2 + by[1]];
    const [left, bottom, right, top] = moved.map((value) => Math.round(1000 * value) / 1000);
    const fits = left >= 0 && bottom >= 0 && right <= 1 && top <= 1 && right - left >= STEP && top - bottom >= STEP;
    return fits ? this.choose([left, bottom, right, top]) : undefined;
  }
}
