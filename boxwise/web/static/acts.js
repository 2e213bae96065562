// What a person can do to the boxes of the image in hand, and to how it is looked at; keys and buttons both end here, by the action's name.
// Changes the editor's model through `gesture`, which charges the time and saves. Decides nothing about which image comes next.

import { isOpen, wordOf } from "./boxes.js";
import { clamped, freePlace, resized, SMALLEST } from "./geometry.js";
import { t } from "./words.js";

const SHIFTED = 12; // pixels of the screen by which a copy lies beside its original

export class Acts {
  /** The class that drawn boxes get, and whether it was chosen to draw many of: then a drawn box is not selected. */
  label = 0;
  sticky = false;
  /** @type {{xyxy: number[], label: number, difficult: boolean, crowd: boolean} | null} what was copied */
  #copied = null;

  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.gestures = editor.gestures;
    this.page = editor.page;
    this.view = editor.view;
  }

  get model() { return this.editor.model; }
  get selected() { return this.editor.selected; }

  select(key) {
    this.model?.settle();
    this.view.select(key);
    this.page.selected(this.selected);
  }

  /** @returns {string | null} the box's key */
  draw(xyxy, label = this.label) {
    const key = this.editor.gesture((model, seconds) => model.draw(xyxy, label, seconds));
    if (key) this.select(this.sticky ? null : key);
    else if (this.model.whole) this.page.hint("Too small for a box, which is at least one pixel of the image wide and high.");
    return key;
  }

  /** A box in the middle of what is seen, for arrows to move (Shift: by 10 pixels) and to size (Alt). */
  drawByKeys() {
    const { clientWidth: width, clientHeight: height } = this.view.stage, [x, y] = this.view.toImage([width / 2, height / 2]);
    const [across, down] = [width, height].map((side) => Math.max((0.1 * side) / this.view.scale, SMALLEST));
    const key = this.draw([x - across, y - down, x + across, y + down]);
    if (!key) return;
    this.select(key);
    this.page.hint("Arrows move the box, Shift by 10 pixels; with Alt they move its right and lower edge.");
  }

  place(key, xyxy) {
    this.editor.gesture((model, seconds) => model.place(key, xyxy, seconds));
  }

  nudge({ dx, dy, resize }) {
    const box = this.selected;
    if (!box) return this.view.pan(-40 * dx, -40 * dy);
    const [x1, y1, x2, y2] = box.xyxy;
    const xyxy = resize ? resized(box.xyxy, [dx ? 1 : 0, dy ? 1 : 0], dx, dy) : [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
    const { width, height } = this.model.size;
    if (!resize && (xyxy[0] < 0 || xyxy[1] < 0 || xyxy[2] > width || xyxy[3] > height)) return undefined; // shifting never shrinks
    return this.editor.gesture((model, seconds) => model.place(box.key, xyxy, seconds, { merge: resize ? "resize" : "nudge" }));
  }

  accept() {
    const box = this.selected;
    if (!box) return this.next();
    const asked = box.question;
    this.editor.gesture((model, seconds) => model.accept(box.key, seconds));
    return asked ? this.#goOn(box) : this.page.changed(this.editor.current);
  }

  reject() {
    const box = this.selected;
    if (!box) return;
    this.editor.gesture((model, seconds) => model.remove(box.key, seconds));
    if (box.question) this.#goOn(box);
    else this.select(this.model.find(box.key) ? box.key : null);
  }

  acceptRest() {
    const count = this.model.open().length;
    if (this.editor.gesture((model, seconds) => model.acceptRest(seconds))) this.page.hint(t`${count} accepted. Space: nothing missed, next image.`);
    this.select(null);
  }

  difficult() {
    const box = this.selected;
    if (box) this.editor.gesture((model, seconds) => model.toggleDifficult(box.key, seconds));
  }

  /** Gives the selected box a class; without one, says which class the next drawn box gets. */
  class({ label }) {
    if (!this.editor.study.classes[label]) return;
    const box = this.selected;
    this.label = label;
    this.sticky = !box && this.gestures.tool !== "edit"; // a digit, then many boxes of that class
    if (box && isOpen(box) && box.label === label) this.editor.gesture((model, seconds) => model.accept(box.key, seconds));
    else if (box) this.editor.gesture((model, seconds) => model.relabel(box.key, label, seconds));
    this.page.label(label);
  }

  async palette() {
    const label = await this.page.pickClass(this.selected?.label ?? this.label);
    if (label !== null && this.editor.current) this.class({ label });
  }

  undo() { this.#travel("undo"); }
  redo() { this.#travel("redo"); }

  #travel(direction) {
    if (!this.editor.gesture((model) => model[direction]())) return this.page.hint(direction === "undo" ? t("Nothing to undo here. U takes the last hand-in back.") : t("Nothing to redo."));
    return this.select(this.selected ? this.view.selected : null);
  }

  /** Whether boxes may be drawn on this image; says so where not. */
  #mayDraw() {
    if (!this.model.whole) this.page.hint("Only the questions are asked here; nothing is to be drawn.");
    return this.model.whole;
  }

  // --- which box ---

  next() { this.#walk(1); }
  previous() { this.#walk(-1); }

  /** To the next open question; where none is open, to the next box that is there. */
  #walk(step) {
    const boxes = this.model.boxes.filter(({ answer }) => answer !== "delete"), at = boxes.findIndex(({ key }) => key === this.view.selected);
    const beside = boxes[at < 0 && step < 0 ? boxes.length - 1 : at + step] ?? null;
    this.choose(this.model.nextOpen(this.view.selected, step) ?? (this.model.open().length ? null : beside));
  }

  #goOn(box) {
    this.choose(this.model.nextOpen(box.key, 1));
  }

  choose(box, { quiet = false } = {}) {
    this.select(box?.key ?? null);
    if (box) {
      const open = this.model.open();
      this.view.reveal(box.xyxy);
      this.page.announce(t`${open.length} open. ${this.nameOf(box)}, ${t(wordOf(box))}`);
    } else if (!quiet) {
      this.page.hint(this.model.whole ? "All questions are answered. Space: nothing missed, next image." : "All questions are answered. Space: next image.");
    }
  }

  nameOf(box) { return this.editor.study.classes[box.label]?.name ?? `class ${box.label}`; }

  escape() {
    if (this.gestures.cancel()) return;
    this.sticky = false;
    this.select(null);
  }

  // --- copies ---

  copy() {
    const box = this.selected;
    if (!box) return this.page.hint("Select a box to copy it.");
    this.#copied = { xyxy: box.xyxy, label: box.label, difficult: box.difficult, crowd: box.crowd };
    return this.page.hint("Copied. Paste it here or on another image.");
  }

  paste() {
    if (!this.#copied) return this.page.hint("Nothing was copied yet.");
    return this.#drawCopy(this.#copied);
  }

  duplicate() {
    if (this.selected) this.#drawCopy(this.selected);
  }

  /** A copy lies at the place of its original, or beside whatever boxes are there already, as the original itself. */
  #drawCopy({ xyxy, label, difficult, crowd }) {
    if (!this.#mayDraw()) return undefined;
    const { size } = this.model, inside = clamped(xyxy, size);
    const others = this.model.boxes.filter(({ answer }) => answer !== "delete").map((box) => box.xyxy);
    const place = inside && freePlace(inside, others, SHIFTED / this.view.scale, size);
    if (!place) return this.page.hint("There is no room for a copy here.");
    return this.select(this.editor.gesture((model, seconds) => model.draw(place, label, seconds, { difficult, crowd })));
  }

  /** The boxes of the image that was handed in last, as boxes of this one. */
  copyPrevious() {
    const boxes = this.boxesBefore();
    if (!boxes) return this.page.hint("No image with boxes was handed in before this one.");
    const count = this.editor.gesture((model, seconds) => model.drawAll(boxes, seconds));
    return this.page.hint(count ? t`${count} of ${boxes.length} boxes copied.` : "They are all here already.");
  }

  /** The boxes of the image handed in last; null where there is none. */
  boxesBefore() {
    const boxes = (this.imageBefore()?.document.boxes ?? []).filter(({ answer }) => answer !== "delete");
    return boxes.length ? boxes : null;
  }

  /** The image handed in last whose boxes are known. @returns {import("./finished.js").Entry | undefined} */
  imageBefore() { return this.editor.finished.entries.findLast(({ kind, document }) => kind === "answer" && document); }

  // --- the view ---

  toolEdit() { this.#take("edit", "Edit: drag a box to move it."); }
  toolDraw() { this.#take("draw", "Draw: every drag is a new box."); }
  toolModel() { this.#take("model", "Model help: click an object or draw a rough box; the model finds the edges."); }
  toolExtreme() { this.#take("extreme", "Extreme clicking: click the top-most point of the object."); }

  #take(tool, words) {
    if (tool !== "edit" && this.model && !this.#mayDraw()) return undefined;
    this.gestures.tool = tool;
    this.sticky = false;
    this.page.tool(tool);
    return this.page.hint(words);
  }

  zoomIn() { this.view.zoom(1.25); }
  zoomOut() { this.view.zoom(0.8); }
  fit() { this.view.fit(); }
  closeUp() {
    if (this.selected) this.view.reveal(this.selected.xyxy, { near: true });
  }
  names() {
    this.view.names = !this.view.names;
    this.view.invalidate();
  }

  hide() {
    this.view.hidden = !this.view.hidden;
    this.#hidden();
  }

  /** Hides the class of the selected box, or of the next one; shows all again where one is hidden. */
  hideClass() {
    const classes = this.view.hiddenClasses;
    if (classes.size) classes.clear();
    else classes.add(this.selected?.label ?? this.label);
    this.select(null);
    this.#hidden();
  }

  #hidden() {
    this.view.invalidate();
    this.page.hidden(this.view.hidden, [...this.view.hiddenClasses]);
  }

  // --- answers by score ---

  /** Shows what a score would accept and reject; null: nothing. @param {number | null} score */
  preview(score) {
    this.view.trial = score;
    this.view.invalidate();
  }

  /** Answers every open question by the score that was tried. */
  answerByScore() {
    const score = this.view.trial;
    this.preview(null);
    if (score !== null && this.editor.gesture((model, seconds) => model.answerBy(score, seconds))) this.select(null);
  }
}
