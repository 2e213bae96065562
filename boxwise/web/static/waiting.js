// The calm screen while there is nothing to label: why, how far the training is, and on by itself when images are asked again.
// Polls the server's progress while it is shown: two seconds after each reply, or after there was none, however long that took.

import { get } from "./api.js";
import { element, html } from "./dom.js";
import { amount, significant } from "./figures.js";
import { t } from "./words.js";

const PAUSE_MS = 2000;
const TITLES = {
  training: "The study is training",
  answered: "The batch is done",
  leased: "The rest is in other hands",
  others: "The rest is for others",
  done: "The study is finished",
  unreachable: "The images cannot be read now",
  offline: "The server does not answer",
  error: "Something is wrong",
  trouble: "Training has stopped",
};
/** Why there is nothing to label: each reason that the queue gives, and the page's own. */
const WORDS = {
  training: "It learns from what was labelled and asks again when it knows what it needs. This page goes on by itself.",
  answered: "Every image of this round is answered. The study trains next; this page goes on by itself.", // where the server trains
  leased: "Others, or other tabs of yours, have the last images of this round. If one comes back, it is shown here.",
  others: "What is left of this round waits for a second person, who labels it alone, or was sent back to somebody else. You have done your part; this page goes on by itself.",
  unreachable: "Where the images of this round lie cannot be reached, or they were moved. Whoever runs the study can see to it; this page goes on by itself.",
  done: "All rounds are done. The dashboard shows what came of it.",
  trouble: "Every label is stored. This page stays and goes on by itself as soon as the study runs again.",
  offline: "What you did is kept in this browser and is sent as soon as the server is back. This page goes on by itself.",
};
const PHASES = { select: "Choosing images", annotate: "Labelling", train: "Training", score: "Scoring the pool", evaluate: "Evaluating", done: "Done" };

const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));

export class Waiting {
  #watch = null; // of this showing; a reply that comes for another one is of no use any more
  #polls = 0;

  /**
   * @param {{goOn: () => Promise<void>, progress: (progress: object) => void}} page goOn: resolves when an image is there, or is not
   */
  constructor(page) {
    this.page = page;
  }

  get shown() { return !element("waiting").hidden; }

  /** @param {string} reason the server's; or "offline", "error" */
  show(reason, words = "") {
    element("waiting").hidden = false;
    element("editor").hidden = true;
    this.#say(reason, reason === "error" ? words : WORDS[reason]);
    if (this.#watch === null) this.#poll(this.#watch = Symbol("watch"));
  }

  hide() {
    this.#watch = null;
    element("waiting").hidden = true;
    element("editor").hidden = false;
  }

  #say(reason, words) {
    const title = t(TITLES[reason] ?? reason);
    if (element("waiting-title").textContent !== title) element("waiting-title").textContent = title;
    element("waiting-words").textContent = t(words ?? "");
    element("waiting").dataset.reason = reason;
  }

  async #poll(watch) {
    while (watch === this.#watch) {
      const progress = await get("/api/progress").catch(() => null);
      if (watch !== this.#watch) return;
      if (progress === null) this.#say("offline", WORDS.offline);
      else await this.#heard(progress);
      await pause();
    }
  }

  async #heard(progress) {
    this.page.progress(progress);
    this.#training(progress.training);
    if (progress.sent_back && progress.waiting === 0 && this.#polls++ % 2) await this.page.goOn(); // perhaps to whoever is here
    if (!this.shown) return;
    if (progress.done) this.#say("done", WORDS.done);
    else if (progress.waiting > 0) {
      // Others may hold all that waits: asking at every second poll is soon enough.
      if (!["leased", "others", "unreachable"].includes(element("waiting").dataset.reason) || this.#polls++ % 2) await this.page.goOn();
    } else if (progress.trouble) this.#say("trouble", WORDS.trouble);
    else if (progress.training) this.#say("training", WORDS.training);
    else if (!progress.goes_on_by) this.#say("answered", WORDS.answered);
    else {
      const command = progress.goes_on_by;
      this.#say("answered", t`Every image of this round is answered. The study trains as soon as ${command} runs; then this page goes on by itself.`);
    }
  }

  #training(training) {
    element("training").hidden = !training;
    if (!training) return;
    element("training-phase").textContent = t(PHASES[training.phase] ?? training.phase);
    element("training-steps").textContent = training.steps ? t`${amount(training.step)} of ${amount(training.steps)} steps` : "";
    const bar = element("training-bar");
    if (training.steps) Object.assign(bar, { max: training.steps, value: training.step });
    else bar.removeAttribute("value");
    const figures = Object.entries(training.figures ?? {});
    element("training-figures").replaceChildren(...figures.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, significant(value))]));
    const silent = Math.round(training.silent); // by the server's clock: this machine's may be wrong
    element("training-silent").textContent = silent > 20 ? t`No news for ${amount(silent)} s: is the run still going?` : "";
  }
}
