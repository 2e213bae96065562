// The picture and its boxes on the stage: zoom, pan, and the SVG drawn over the image. Outlines are in pixels of the image, under one
// transform, so that zooming and panning touches none of them; everything else is in pixels of the screen.
// Shows what it is given (a model, a selection, a gesture in progress) and converts coordinates; changes no box and handles no input.

import { answerAt, isOpen, statusOf } from "./boxes.js";
import { html, svg } from "./dom.js";
import { HANDLES, handlePoint } from "./geometry.js";
import { Tiles } from "./tiles.js";
import { t } from "./words.js";

const MARGIN = 14;
const MOST_ZOOM = 40;
const SIGNS = { open: "?", certain: "✓", human: "●", rejected: "✕" };
const NARROWEST_NAMED = 46;
const LONGEST_NAME = 22; // letters of a name that may cover others
/** What is said in the place of a picture, by its fault. */
export const WHY_UNSEEN = {
  late: "The picture has not come yet; it is asked for again.",
  unreadable: "The browser cannot show this picture. Flag it, or skip it.",
};
const CHIP = 20; // of a name and the gap below it, pixels

export class View {
  scale = 1;
  x = 0;
  y = 0;
  selected = null;
  hovered = null;
  names = true;
  /** Whether no box is shown but the selected one, and the classes that are not shown. */
  hidden = false;
  hiddenClasses = new Set();
  /** @type {number | null} the score by which open questions would be answered */
  trial = null;
  /** @type {{xyxy: number[], words: string}[]} the model's view of labels in doubt */
  doubts = [];
  /** @type {{key: string, xyxy: number[]} | null} a box as it would be if the gesture ended now */
  preview = null;
  /** @type {number[] | null} the rectangle being drawn */
  rubber = null;
  /** @type {number[][]} extreme points clicked so far */
  points = [];
  /** @type {number[] | null} where the crosshair is, in pixels of the stage */
  cross = null;
  #fitted = true;
  #scheduled = false;
  #stale = false;
  #groups = new Map();
  #model = null;

  /** @param {HTMLElement} stage with .picture and svg within @param {{name: string, color: string}[]} classes */
  constructor(stage, classes) {
    this.stage = stage;
    this.classes = classes;
    this.picture = stage.querySelector(".picture");
    this.tiles = new Tiles(this.picture);
    const [boxes, gesture] = stage.querySelectorAll("svg.overlay"); // painted apart: a pointer that moves does not paint the boxes
    const layer = (name) => [name, (["handles", "gesture"].includes(name) ? gesture : boxes).appendChild(svg("g", { class: name }))];
    this.layers = Object.fromEntries(["boxes", "doubts", "names", "handles", "gesture"].map(layer));
    this.pen = document.createElement("canvas").getContext("2d");
    this.pen.font = "600 12px system-ui, sans-serif";
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.#bound())).observe(stage);
  }

  /** Puts an image on the stage. @param {import("./queue.js").Prepared} prepared */
  show(prepared, model) {
    const { task } = prepared;
    this.#model = model;
    this.#size = [task.width, task.height];
    Object.assign(this, { selected: null, hovered: null, preview: null, rubber: null, points: [], trial: null, doubts: [] });
    this.tiles.show(task);
    this.showPicture(prepared);
    this.#forget();
    this.fit(); // invalidates
    this.#draw();
  }

  /** The picture under the boxes, or why there is none. @param {import("./queue.js").Prepared} prepared */
  showPicture({ image, fault }) {
    this.picture.replaceChildren(fault ? html("p", {}, t(WHY_UNSEEN[fault])) : image);
    this.picture.classList.toggle("broken", Boolean(fault));
  }

  clear() {
    this.#model = null;
    this.tiles.show(null);
    this.picture.replaceChildren();
    this.#forget();
    this.invalidate();
  }

  #forget() {
    this.#groups.clear();
    this.layers.boxes.replaceChildren();
    this.layers.names.replaceChildren();
  }

  #size = [1, 1];

  /** Stage pixels of the pointer. */
  at(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  toImage([x, y]) { return [(x - this.x) / this.scale, (y - this.y) / this.scale]; }
  toStage([x1, y1, x2, y2]) {
    return [x1 * this.scale + this.x, y1 * this.scale + this.y, x2 * this.scale + this.x, y2 * this.scale + this.y];
  }

  /** The boxes that can be seen and pointed at. */
  visible() { return this.#model ? this.#model.boxes.filter((box) => box.key === this.selected || (isVisible(box) && !this.#isHidden(box))) : []; }

  #isHidden(box) { return this.hidden || this.hiddenClasses.has(box.label); }

  /** The scale at which all of the image is seen. */
  get #fitting() {
    const [width, height] = this.#size, { clientWidth, clientHeight } = this.stage;
    return Math.max(0.01, Math.min((clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height));
  }

  fit() {
    const [width, height] = this.#size, { clientWidth, clientHeight } = this.stage;
    this.scale = this.#fitting;
    this.x = (clientWidth - width * this.scale) / 2;
    this.y = (clientHeight - height * this.scale) / 2;
    this.#fitted = true;
    this.#place();
  }

  /** Zooms by a factor around a point of the stage, its middle by default. */
  zoom(factor, [x, y] = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    const least = Math.min(this.stage.clientWidth / this.#size[0], this.stage.clientHeight / this.#size[1]) / 2;
    const most = Math.max(MOST_ZOOM, 4 * this.#fitting);
    const scale = Math.min(Math.max(this.scale * factor, least), most);
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.#bound();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#bound();
  }

  /** Brings a box into sight, and near if asked to. */
  reveal(xyxy, { near = false } = {}) {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (near) this.zoom(Math.min(width / 3 / (xyxy[2] - xyxy[0]), height / 3 / (xyxy[3] - xyxy[1])) / this.scale);
    const [x1, y1, x2, y2] = this.toStage(xyxy);
    const seen = x1 >= 0 && y1 >= 0 && x2 <= width && y2 <= height;
    if (near || !seen) this.pan(width / 2 - (x1 + x2) / 2, height / 2 - (y1 + y2) / 2);
  }

  select(key) {
    this.selected = key;
    this.invalidate();
  }

  /** Draws anew before the next frame. @param {{boxes?: boolean}} what boxes: false where only the gesture has changed */
  invalidate({ boxes = true } = {}) {
    this.#stale ||= boxes;
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** A part of the image stays on the stage, however it is dragged. */
  #bound() {
    const [width, height] = this.#size.map((side) => side * this.scale), keep = 60;
    this.x = Math.min(Math.max(this.x, keep - width), this.stage.clientWidth - keep);
    this.y = Math.min(Math.max(this.y, keep - height), this.stage.clientHeight - keep);
    this.#fitted = false;
    this.#place();
  }

  #place() {
    this.picture.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.picture.classList.toggle("pixels", this.scale >= 3);
    const { clientWidth, clientHeight } = this.stage, reduced = (this.picture.querySelector("img")?.naturalWidth ?? 0) / this.#size[0];
    this.tiles.look([...this.toImage([0, 0]), ...this.toImage([clientWidth, clientHeight])], this.scale, reduced);
    this.invalidate();
  }

  #draw() {
    if (this.#stale) this.#drawBoxes();
    this.#stale = false;
    this.#drawGesture();
  }

  #drawBoxes() {
    const boxes = this.visible(), keys = new Set(boxes.map((box) => box.key));
    for (const [key, parts] of this.#groups) {
      if (!keys.has(key)) {
        parts.outline.remove();
        parts.chip.remove();
        this.#groups.delete(key);
      }
    }
    this.layers.boxes.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
    for (const box of boxes) this.#drawBox(box);
    const top = this.#groups.get(this.selected);
    if (top && top.outline !== this.layers.boxes.lastChild) {
      this.layers.boxes.append(top.outline);
      this.layers.names.append(top.chip);
    }
    this.#drawHandles(boxes.find((box) => box.key === this.selected));
    this.#drawDoubts();
  }

  #drawBox(box) {
    const parts = this.#parts(box.key), chosen = box.key === this.selected, hovered = box.key === this.hovered;
    const xyxy = this.preview?.key === box.key ? this.preview.xyxy : box.xyxy, [x1, y1, x2] = this.toStage(xyxy);
    const named = isOpen(box) || chosen || hovered || (this.names && x2 - x1 >= NARROWEST_NAMED);
    const trial = this.trial !== null && isOpen(box) ? ` ${answerAt(box, this.trial)}` : "";
    const style = `box ${statusOf(box)}${chosen ? " selected" : ""}${hovered ? " hovered" : ""}${trial}`;
    const drawn = `${xyxy} ${style} ${box.label}`;
    if (parts.drawn !== drawn) { // of hundreds of boxes a gesture changes one
      parts.drawn = drawn;
      this.#drawOutline(parts.outline, box, xyxy, style);
    }
    this.#drawChip(parts, box, named, [x1, y1]);
  }

  #drawOutline(outline, { label }, [x1, y1, x2, y2], style) {
    for (const rect of outline.children) setRect(rect, x1, y1, x2 - x1, y2 - y1);
    outline.setAttribute("class", style);
    outline.lastChild.style.stroke = this.#class(label).hue;
  }

  /** The outline and the name of a box, each in its layer: no line crosses a name. */
  #parts(key) {
    if (!this.#groups.has(key)) {
      const outline = svg("g"), chip = svg("g", { visibility: "hidden" });
      outline.append(svg("rect", { class: "halo" }), svg("rect", { class: "line" }));
      chip.append(svg("rect", { class: "ground", rx: 3, height: 18 }), svg("rect", { class: "color", rx: 2, x: 4, y: 4, width: 10, height: 10 }));
      chip.append(svg("text", { x: 19, y: 13 }));
      this.layers.boxes.append(outline);
      this.layers.names.append(chip);
      this.#groups.set(key, { outline, chip, drawn: "", said: "", place: "" });
    }
    return this.#groups.get(key);
  }

  /** The name of a box over its corner, or inside of it at the upper edge of the stage. */
  #drawChip(parts, box, named, [x, y]) {
    const chosen = box.key === this.selected, near = isOpen(box) || chosen || box.key === this.hovered;
    const score = near && box.score !== null && statusOf(box) !== "human" ? ` ${Math.round(box.score * 100)}%` : "";
    const { name } = this.#class(box.label), brief = chosen || name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 1)}…`;
    const words = `${SIGNS[statusOf(box)] ?? ""} ${brief}${score}${box.difficult ? ` · ${t("hard")}` : ""}`;
    const said = named ? `${box.label} ${chosen} ${words}` : "";
    if (parts.said !== said) {
      parts.said = said;
      parts.chip.setAttribute("visibility", named ? "visible" : "hidden");
      if (named) this.#write(parts.chip, words, this.#class(box.label).hue, chosen);
    }
    const place = `translate(${Math.max(x, 0)} ${y >= CHIP ? y - CHIP : Math.max(y, 0) + 2})`;
    if (!named || parts.place === place) return;
    parts.place = place;
    parts.chip.setAttribute("transform", place);
  }

  #write(chip, words, hue, chosen) {
    const [ground, color, text] = chip.children;
    chip.setAttribute("class", `chip${chosen ? " selected" : ""}`);
    ground.setAttribute("width", this.#width(words) + 27);
    color.setAttribute("fill", hue);
    text.textContent = words;
  }

  #width(words) {
    if (!this.#widths.has(words)) this.#widths.set(words, this.pen.measureText(words).width);
    return this.#widths.get(words);
  }

  #widths = new Map();

  #class(label) {
    const known = this.classes[label];
    return { name: known?.name ?? `class ${label}`, hue: known?.color ?? "#8a8f98" };
  }

  #drawHandles(box) {
    const editable = box && this.#model.editable(box) && statusOf(box) !== "rejected" && !this.points.length;
    if (!editable) return this.layers.handles.replaceChildren();
    const xyxy = this.toStage(this.preview?.key === box.key ? this.preview.xyxy : box.xyxy);
    if (!this.layers.handles.childElementCount) this.layers.handles.append(...HANDLES.map(() => svg("rect", { class: "handle" })));
    HANDLES.forEach((handle, index) => {
      const [x, y] = handlePoint(xyxy, handle);
      setRect(this.layers.handles.children[index], x - 4.5, y - 4.5, 9, 9);
    });
  }

  #drawDoubts() {
    const parts = this.doubts.flatMap(({ xyxy, words }) => {
      const [x1, y1, x2, y2] = this.toStage(xyxy), place = { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
      const text = svg("text", { x: x1 + 3, y: y2 + 15 });
      text.textContent = words;
      return [svg("rect", { class: "halo", ...place }), svg("rect", { class: "doubt", ...place }), text];
    });
    this.layers.doubts.replaceChildren(...parts);
  }

  #drawGesture() {
    const parts = [];
    if (this.cross) {
      const [x, y] = this.cross, { clientWidth, clientHeight } = this.stage;
      for (const name of ["cross under", "cross"]) {
        parts.push(svg("path", { class: name, d: `M0 ${y}H${clientWidth}M${x} 0V${clientHeight}` }));
      }
    }
    if (this.rubber) {
      const [x1, y1, x2, y2] = this.toStage(this.rubber), place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
      parts.push(svg("rect", { class: "halo", ...place }), svg("rect", { class: "rubber", ...place }));
    }
    for (const [x, y] of this.points) {
      const [cx, cy] = this.toStage([x, y, x, y]);
      parts.push(svg("circle", { class: "point", cx, cy, r: 5 }));
    }
    this.layers.gesture.replaceChildren(...parts);
  }
}

function isVisible(box) {
  return !["rejected", "unasked"].includes(statusOf(box));
}

function setRect(rect, x, y, width, height) {
  rect.setAttribute("x", x);
  rect.setAttribute("y", y);
  rect.setAttribute("width", Math.max(0, width));
  rect.setAttribute("height", Math.max(0, height));
}
