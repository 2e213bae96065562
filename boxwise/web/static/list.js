// The boxes of the image as a list: swatch, class, standing, score. A listbox that arrows walk through, for eyes and screen readers.
// Shows boxes and reports which one was chosen; changes none.

import { standing, wordOf } from "./boxes.js";

export class BoxList {
  #keys = [];

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
    const listed = boxes.filter((box) => standing(box) !== "unasked");
    this.#keys = listed.map((box) => box.key);
    this.element.replaceChildren(...listed.map((box, index) => this.#row(box, index)));
    this.mark(selected);
  }

  /** Marks the selected box and brings its row into sight. */
  mark(selected) {
    this.element.removeAttribute("aria-activedescendant");
    for (const row of this.element.children) {
      const chosen = row.dataset.key === selected;
      row.setAttribute("aria-selected", String(chosen));
      if (!chosen) continue;
      this.element.setAttribute("aria-activedescendant", row.id);
      row.scrollIntoView({ block: "nearest" });
    }
  }

  #row(box, index) {
    const row = document.createElement("li");
    row.id = `box-${index}`;
    row.dataset.key = box.key;
    row.setAttribute("role", "option");
    row.className = standing(box);
    const swatch = piece("span", "swatch", "");
    swatch.style.background = this.classes[box.label]?.color ?? "gray";
    const score = box.score === null ? "" : `${Math.round(box.score * 100)}%`;
    const name = this.classes[box.label]?.name ?? `class ${box.label}`;
    row.append(swatch, piece("span", "name", name), piece("span", "word", box.difficult ? `${wordOf(box)}, hard` : wordOf(box)), piece("span", "score", score));
    return row;
  }

  #walk(event) {
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.#keys.length) return;
    event.preventDefault();
    const at = [...this.element.children].findIndex((row) => row.getAttribute("aria-selected") === "true");
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
