// Brings drafts and letters to the server: one at a time, drafts coalesced to the newest, again after a pause that doubles while the
// network is away. Everything is in the journal before it is sent, and leaves it when the server has acknowledged it. A letter that the
// server refused for good stays there until somebody sends it again or discards it.
// Tells the page by events: "state" {state, words}, "answered" {letter, reply}, "lost" {imageId}, "refused" (see `refused`),
// "undrafted" {message}.

import { post, put } from "./api.js";
import { t } from "./words.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export class Courier extends EventTarget {
  #journal;
  #drafts = new Map(); // image → the draft still to be sent
  #letters = [];
  #refused = [];
  #running = null;
  #pause = FIRST_PAUSE_MS;
  #wake = () => {};

  /** @param {import("./journal.js").Journal} journal whose unsent letters are sent first */
  constructor(journal) {
    super();
    this.#journal = journal;
    const kept = journal.letters();
    this.#letters = kept.filter((letter) => !letter.refused);
    this.#refused = kept.filter((letter) => letter.refused);
    window.addEventListener("online", () => this.hurry());
    if (this.#letters.length) this.#start();
  }

  /** Images whose answers the server has not acknowledged yet. */
  get unsent() { return this.#letters.map((letter) => letter.body.image_id); }

  /** Letters that the server refused for good, with its reason; also those of earlier visits. @returns {readonly object[]} */
  get refused() { return this.#refused; }

  /** Keeps a draft and sends it as soon as the line is free. @param {import("./journal.js").Draft} draft */
  save(draft) {
    this.#journal.keepDraft(draft);
    this.#drafts.set(draft.image_id, draft);
    this.#start();
  }

  /** Forgets a draft: its image was handed in, skipped or lost. */
  drop(annotator, imageId, { keep = false } = {}) {
    this.#drafts.delete(imageId);
    if (!keep) this.#journal.dropDraft(annotator, imageId);
  }

  /** Keeps a letter and sends it; `key` makes it count once. */
  post(path, key, body) {
    this.#post({ key, path, body, at: Date.now(), refused: "" });
  }

  /** Sends a refused letter once more. */
  repost(letter) {
    this.#letOff(letter);
    this.#post({ ...letter, refused: "" });
  }

  /** Forgets a refused letter. */
  discard(letter) {
    this.#letOff(letter);
    this.#journal.dropLetter(letter.key);
  }

  /** Sends without further pause. */
  hurry() {
    this.#pause = FIRST_PAUSE_MS;
    this.#wake();
  }

  /** The page is going away: what is still to be sent goes out unasked; the journal keeps it whatever becomes of it. */
  farewell() {
    for (const draft of this.#drafts.values()) put("/api/drafts", wire(draft), { last: true }).catch(() => {});
    for (const letter of this.#letters) post(letter.path, letter.body, { last: true }).catch(() => {});
  }

  /** Resolves when nothing is left to send, or after `ms`. */
  async settled(ms) {
    await Promise.race([this.#running, new Promise((done) => setTimeout(done, ms))]);
  }

  #post(letter) {
    this.#journal.keepLetter(letter);
    this.#letters.push(letter);
    this.#start();
  }

  #refuse(letter, reason) {
    const refused = { ...letter, refused: reason };
    this.#journal.keepLetter(refused);
    this.#refused = [...this.#refused, refused];
    this.#dispatch("refused");
  }

  #letOff({ key }) {
    this.#refused = this.#refused.filter((letter) => letter.key !== key);
    this.#dispatch("refused");
  }

  #start() {
    this.#running ??= this.#run().finally(() => { this.#running = null; });
  }

  async #run() {
    await null; // gestures of one turn go out as one draft
    for (let send = this.#next(); send; send = this.#next()) {
      if (this.#pause === FIRST_PAUSE_MS) this.#tell("saving", t("Saving …"));
      try {
        await send();
        this.#pause = FIRST_PAUSE_MS;
      } catch (error) {
        if (!error.passing) throw error;
        await this.#rest(error);
      }
    }
    this.#tell("saved", t("Saved"));
  }

  #next() {
    if (this.#letters.length) return () => this.#sendLetter(this.#letters[0]);
    const [draft] = this.#drafts.values();
    return draft && (() => this.#sendDraft(draft));
  }

  async #sendLetter(letter) {
    try {
      const reply = await post(letter.path, letter.body);
      this.#journal.dropLetter(letter.key);
      this.#dispatch("answered", { letter, reply });
    } catch (error) {
      if (error.passing !== false) throw error;
      this.#refuse(letter, error.message);
    }
    this.#letters.shift();
  }

  async #sendDraft(draft) {
    try {
      const { revision } = await put("/api/drafts", wire(draft));
      if (revision > draft.revision) draft.revision = revision + 1; // another tab was ahead: this gesture is the newer one
      else this.#delivered(draft);
    } catch (error) {
      if (error.passing !== false) throw error;
      this.#drafts.delete(draft.image_id);
      if (error.status === 409) this.#dispatch("lost", { imageId: draft.image_id });
      else this.#dispatch("undrafted", { message: t`The draft was not taken: ${error.message} It is kept in this browser.` });
    }
  }

  #delivered(draft) {
    if (this.#drafts.get(draft.image_id) !== draft) return; // a newer one waits, or the image is done
    this.#drafts.delete(draft.image_id);
    this.#journal.keepDraft({ ...draft, saved: draft.revision });
  }

  async #rest(error) {
    const away = error.status === 401 || error.status === 403 ? t("Signed out: open the link again") : t("Offline");
    this.#tell("offline", this.#journal.durable ? t`${away}; kept here` : t`${away}; keep this tab open`);
    const pause = this.#pause * (0.8 + 0.4 * Math.random());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    await new Promise((done) => {
      this.#wake = done;
      setTimeout(done, pause);
    });
  }

  #tell(state, words) { this.#dispatch("state", { state, words }); }
  #dispatch(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}

/** A draft as /api/drafts takes it. */
function wire({ annotator, image_id, round, revision, document }) {
  return { annotator, image_id, round, revision, document };
}
