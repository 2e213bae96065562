// Labels in doubt: where the model contradicts the labels of an image that is opened again, and what a person answers. "Right"
// settles a doubt; when all are settled the image is handed in and not listed again.

import { get, inPath } from "./api.js";
import { element } from "./dom.js";
import { percent, significant } from "./figures.js";
import { iou } from "./geometry.js";
import { t } from "./words.js";

export class Doubts {
  #left = [];

  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  /** An image is shown: one that has labels already may be in doubt. */
  async show({ task }) {
    this.#put([]);
    if (!task.labels && task.rank !== null) return;
    const found = await get(`/api/doubts/${inPath(task.image_id)}`).catch(() => []);
    if (this.editor.current?.task === task) this.#put(found);
  }

  /** The label is right as it is. */
  labelRight() {
    if (!this.#left.length) return this.editor.page.hint("Nothing is in doubt here.");
    const wasLast = this.#left.length === 1;
    this.#put(this.#left.slice(1));
    return wasLast ? this.editor.submit() : undefined;
  }

  /** The model is right: its box, its class, or no object. */
  takeModels() {
    const [doubt] = this.#left;
    if (!doubt) return this.editor.page.hint("Nothing is in doubt here.");
    const label = this.#labelled(doubt);
    this.editor.gesture((model, seconds) => {
      if (doubt.doubt === "missing") return model.draw(doubt.xyxy, doubt.found, seconds);
      if (!label) return false;
      return doubt.doubt === "class" ? model.relabel(label.key, doubt.found, seconds) : model.remove(label.key, seconds);
    });
    return this.#put(this.#left.slice(1));
  }

  #put(doubts) {
    this.#left = doubts;
    const [doubt] = doubts;
    element("doubt").hidden = !doubt;
    this.editor.view.doubts = doubt ? [{ xyxy: doubt.xyxy, words: this.#name(doubt) }] : [];
    this.editor.view.invalidate();
    if (!doubt) return;
    element("doubt-words").textContent = [this.#words(doubt), doubts.length > 1 ? t`(${doubts.length} in doubt)` : ""].join(" ");
    this.editor.acts.select(this.#labelled(doubt)?.key ?? null);
    this.editor.view.reveal(doubt.xyxy);
  }

  /** The person's box that is meant, where one is. */
  #labelled({ xyxy, label }) {
    const near = this.editor.model.boxes.filter((box) => box.label === label && iou(box.xyxy, xyxy) >= 0.5);
    return near.sort((a, b) => iou(b.xyxy, xyxy) - iou(a.xyxy, xyxy))[0];
  }

  #name({ doubt, label, found, strength }) {
    return doubt === "unseen" ? `${this.#class(label)}?` : `${this.#class(found)} ${significant(strength)}`;
  }

  #words({ doubt, label, found, strength }) {
    const sure = percent(strength);
    if (doubt === "missing") return t`The model sees ${this.#class(found)} (${sure}) where nothing is labelled.`;
    if (doubt === "class") return t`Labelled ${this.#class(label)}; the model sees ${this.#class(found)} (${sure}).`;
    return t`The model sees nothing where ${this.#class(label)} is labelled; of that class it finds ${sure}.`;
  }

  #class(label) { return this.editor.study.classes[label]?.name ?? `class ${label}`; }
}
