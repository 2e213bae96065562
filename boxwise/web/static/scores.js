// The slider that answers every open question by its score: what is accepted and rejected is seen before it is applied.
// Knows the editor's actions; changes no box itself.

import { answerAt } from "./boxes.js";
import { element } from "./dom.js";
import { percent } from "./figures.js";
import { t } from "./words.js";

export class Scores {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.slider = element("score");
    this.slider.addEventListener("input", () => this.#try());
    this.slider.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.applyScore();
      if (event.key === "Escape") this.#leave();
    });
  }

  /** The image or its boxes have changed. */
  show(model) {
    const open = model.open().length;
    element("scores").hidden = open < 2;
    if (open < 2) this.editor.acts.preview(null);
    if (this.editor.view.trial !== null) this.#words();
    else element("score-words").textContent = "";
    element("score-apply").disabled = this.editor.view.trial === null;
  }

  /** Gives the slider the keyboard; Enter applies, Escape leaves all as it was. */
  tryScore() {
    if (element("scores").hidden) return this.editor.page.hint("Fewer than two questions are open.");
    document.body.classList.add("panel-open");
    this.slider.focus();
    return this.#try();
  }

  applyScore() {
    this.editor.acts.answerByScore();
    element("stage").focus({ preventScroll: true });
  }

  #try() {
    this.editor.acts.preview(Number(this.slider.value) / 100);
    element("score-apply").disabled = false;
    this.#words();
  }

  #words() {
    const score = this.editor.view.trial, open = this.editor.model.open(), kept = open.filter((box) => answerAt(box, score) === "keep").length;
    element("score-words").textContent = t`${percent(score)}: accepts ${kept}, rejects ${open.length - kept}`;
    this.slider.setAttribute("aria-valuetext", element("score-words").textContent);
  }

  #leave() {
    this.editor.acts.preview(null);
    this.show(this.editor.model);
    element("stage").focus({ preventScroll: true });
  }
}
