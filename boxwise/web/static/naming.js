// Under which name a page beside the labelling page acts: a button shows it, and changes it in this tab.
// Who came by a link of their own acts under its name alone.

import { rememberName, rememberedName } from "./tabs.js";
import { t } from "./words.js";

const MOST_LETTERS = 100; // of a name, as the server takes it

export class Naming {
  #button;
  #changed;

  /**
   * @param {HTMLButtonElement} button
   * @param {{name: string} | null} member who came by a link
   * @param {() => void} [changed] after another name was given by the button
   */
  constructor(button, member, changed = () => {}) {
    this.#button = button;
    this.#changed = changed;
    this.name = member?.name ?? rememberedName();
    button.disabled = Boolean(member);
    button.title = member ? t("Labelling by a link of your own") : t("Acting under this name; press to change");
    button.addEventListener("click", () => this.#ask() && this.#changed());
    this.#show();
  }

  /** The name; who has given none is asked for it. "" when they still give none. */
  given() {
    if (!this.name) this.#ask();
    return this.name;
  }

  /** Whether another name was given. */
  #ask() {
    let name = this.name, words = t("Under which name?");
    do {
      name = window.prompt(words, name)?.trim();
      words = t("Under which name? It has 100 letters at most.");
    } while (name?.length > MOST_LETTERS);
    if (!name || name === this.name) return false;
    rememberName(this.name = name);
    this.#show();
    return true;
  }

  #show() { this.#button.textContent = this.name || t("Under which name?"); }
}
