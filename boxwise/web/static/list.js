// The boxes of the image as a list: swatch, class, state, score. A listbox that arrows walk through, for eyes and screen readers.
// Shows boxes and reports which one was chosen; changes none.

import { statusOf, wordOf } from "./boxes.js";
import { html, nameOf, swatch } from "./dom.js";
import { percent } from "./figures.js";
import { t } from "./words.js";

export class BoxList {
  #keys = [];
  #rows = new Map(); // key → {box, row}
  #marked = null;

  /**
   * @param {HTMLElement} element a listbox
   * @param {{name: string, color: string}[]} classes
   * @param {(key: string) => void} choose
   */
  constructor(element, classes, choose) {
    this.element = element;
    this.classes = classes;
    this.choose = choose;
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) choose(row.dataset.key);
    });
    element.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** @param {readonly import("./boxes.js").Box[]} boxes */
  show(boxes, selected) {
    const listed = boxes.filter((box) => statusOf(box) !== "unasked"), before = this.#rows;
    this.#keys = listed.map((box) => box.key);
    this.#rows = new Map(listed.map((box) => [box.key, before.get(box.key)?.box === box ? before.get(box.key) : { box, row: this.#row(box) }]));
    const rows = [...this.#rows.values()].map(({ row }) => row);
    if (rows.length !== this.element.childElementCount || rows.some((row, index) => row !== this.element.children[index])) this.element.replaceChildren(...rows);
    this.#marked?.setAttribute("aria-selected", "false");
    this.#marked = null;
    this.mark(selected);
  }

  /** Marks the selected box and brings its row into sight. */
  mark(selected) {
    const row = this.#rows.get(selected)?.row ?? null;
    if (row === this.#marked) return;
    this.#marked?.setAttribute("aria-selected", "false");
    this.#marked = row;
    if (!row) return this.element.removeAttribute("aria-activedescendant");
    row.setAttribute("aria-selected", "true");
    this.element.setAttribute("aria-activedescendant", row.id);
    return row.scrollIntoView({ block: "nearest" });
  }

  #row(box) {
    const { name, color } = this.classes[box.label] ?? { name: `class ${box.label}`, color: "gray" };
    const word = box.difficult ? t`${t(wordOf(box))}, hard` : t(wordOf(box)), score = box.score === null ? "" : percent(box.score);
    const attributes = { id: `box-${box.key}`, "data-key": box.key, role: "option", "aria-selected": "false", class: statusOf(box) };
    return html("li", attributes, swatch(color), nameOf(name), html("span", { class: "word" }, word), html("span", { class: "score" }, score));
  }

  #walk(event) {
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.#keys.length) return;
    event.preventDefault();
    const at = this.#keys.indexOf(this.#marked?.dataset.key);
    this.choose(this.#keys[Math.min(Math.max(at + step, 0), this.#keys.length - 1)]);
  }
}
