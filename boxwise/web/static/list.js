// The boxes of the image as a list: swatch, class, state, score. A listbox that arrows walk through, for eyes and screen readers.
// Shows boxes and reports which one was chosen; changes none.

import { statusOf, wordOf } from "./boxes.js";
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
    const row = document.createElement("li");
    row.id = `box-${box.key}`;
    row.dataset.key = box.key;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    row.className = statusOf(box);
    const swatch = piece("span", "swatch", "");
    swatch.style.background = this.classes[box.label]?.color ?? "gray";
    const score = box.score === null ? "" : `${Math.round(box.score * 100)}%`;
    const name = this.classes[box.label]?.name ?? `class ${box.label}`;
    row.append(swatch, nameOf(name), piece("span", "word", box.difficult ? t`${t(wordOf(box))}, hard` : t(wordOf(box))), piece("span", "score", score));
    return row;
  }

  #walk(event) {
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.#keys.length) return;
    event.preventDefault();
    const at = this.#keys.indexOf(this.#marked?.dataset.key);
    this.choose(this.#keys[Math.min(Math.max(at + step, 0), this.#keys.length - 1)]);
  }
}

/** An element with a class and text; text is never markup. */
export function piece(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A name that is cut where it is too long; its title has all of it. */
export function nameOf(name) {
  const element = piece("span", "name", name);
  element.title = name;
  return element;
}
