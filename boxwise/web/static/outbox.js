// Sends drafts and requests to the server: one at a time, drafts coalesced to the newest, again after a pause that doubles while the
// network is away. Everything is in the journal before it is sent, and leaves it when the server has acknowledged it. A request that the
// server refused for good stays there until somebody sends it again or discards it; one of another person's waits there until they come.
// Events for the page: "state" {state, words}, "answered" {request, reply}, "lost" {imageId}, "refused" (see `refused`),
// "undrafted" {message}.

import { post, put } from "./api.js";
import { t } from "./words.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export class Outbox extends EventTarget {
  #journal;
  #drafts = new Map(); // image → the draft still to be sent
  #requests = [];
  #refused = [];
  #running = null;
  #pause = FIRST_PAUSE_MS;
  #wake = () => {};

  /**
   * @param {import("./journal.js").Journal} journal whose unsent requests are sent first
   * @param {string} [member] who came by a link of their own, and may send what is theirs alone
   */
  constructor(journal, member) {
    super();
    this.#journal = journal;
    const kept = journal.requests().filter(({ body }) => !member || body.annotator === member);
    // Without a code it was refused by an older page, perhaps only because another person's link was open.
    const isRefused = (request) => request.refused && (!member || "code" in request);
    this.#requests = kept.filter((request) => !isRefused(request));
    this.#refused = kept.filter(isRefused);
    window.addEventListener("online", () => this.hurry());
    if (this.#requests.length) this.#start();
  }

  /** Images whose answers the server has not acknowledged yet. */
  get unsent() { return this.#requests.map((request) => request.body.image_id); }

  /** Requests that the server refused for good, with its reason; also those of earlier visits. @returns {readonly object[]} */
  get refused() { return this.#refused; }

  /** Keeps a draft and sends it as soon as nothing else is being sent. @param {import("./journal.js").Draft} draft */
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

  /** Keeps a request and sends it; `key` makes it count once. document: kept with it, and not sent. */
  post(path, key, body, document) {
    this.#post({ key, path, body, at: Date.now(), refused: "", document });
  }

  /** Sends a refused request once more. */
  repost(request) {
    this.#removeRefused(request);
    this.#post({ ...request, refused: "" });
  }

  /** Keeps a refused request as it is by now. */
  keep(request) {
    this.#journal.keepRequest(request);
    this.#refused = this.#refused.map((one) => (one.key === request.key ? request : one));
    this.#dispatch("refused");
  }

  /** Forgets a refused request. */
  discard(request) {
    this.#removeRefused(request);
    this.#journal.dropRequest(request.key);
  }

  /** Sends without further pause. */
  hurry() {
    this.#pause = FIRST_PAUSE_MS;
    this.#wake();
  }

  /** The page is going away: what is still to be sent is sent without waiting for a reply; the journal keeps it. */
  close() {
    for (const draft of this.#drafts.values()) put("/api/drafts", wire(draft), { last: true }).catch(() => {});
    for (const request of this.#requests) post(request.path, request.body, { last: true }).catch(() => {});
  }

  /** Resolves when nothing is left to send, or after `ms`. */
  async settled(ms) {
    await Promise.race([this.#running, new Promise((done) => setTimeout(done, ms))]);
  }

  #post(request) {
    this.#journal.keepRequest(request);
    this.#requests.push(request);
    this.#start();
  }

  #refuse(request, { message, body }) {
    const refused = { ...request, refused: message, code: body.code ?? "" };
    this.#journal.keepRequest(refused);
    this.#refused = [...this.#refused, refused];
    this.#dispatch("refused");
  }

  #removeRefused({ key }) {
    this.#refused = this.#refused.filter((request) => request.key !== key);
    this.#dispatch("refused");
  }

  #start() {
    this.#running ??= this.#run().finally(() => { this.#running = null; });
  }

  async #run() {
    await null; // gestures of one turn go out as one draft
    for (let send = this.#next(); send; send = this.#next()) {
      if (this.#pause === FIRST_PAUSE_MS) this.#state("saving", t("Saving …"));
      try {
        await send();
        this.#pause = FIRST_PAUSE_MS;
      } catch (error) {
        if (!maySucceedLater(error)) throw error;
        await this.#rest(error);
      }
    }
    this.#state("saved", t("Saved"));
  }

  #next() {
    if (this.#requests.length) return () => this.#sendRequest(this.#requests[0]);
    const [draft] = this.#drafts.values();
    return draft && (() => this.#sendDraft(draft));
  }

  async #sendRequest(request) {
    try {
      const reply = await post(request.path, request.body);
      this.#journal.dropRequest(request.key);
      this.#dispatch("answered", { request, reply });
    } catch (error) {
      if (error.passing !== false || maySucceedLater(error)) throw error;
      this.#refuse(request, error);
    }
    this.#requests.shift();
  }

  async #sendDraft(draft) {
    try {
      const { revision } = await put("/api/drafts", wire(draft));
      if (revision > draft.revision) draft.revision = revision + 1; // another tab was ahead: this gesture is the newer one
      else this.#delivered(draft);
    } catch (error) {
      if (error.passing !== false || maySucceedLater(error)) throw error;
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
    this.#state("offline", this.#journal.durable ? t`${away}; kept here` : t`${away}; keep this tab open`);
    const pause = this.#pause * (0.8 + 0.4 * Math.random());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    await new Promise((done) => {
      this.#wake = done;
      setTimeout(done, pause);
    });
  }

  #state(state, words) { this.#dispatch("state", { state, words }); }
  #dispatch(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}

/** Whether the same may be taken later; also once a person's own link is opened again, where another's was opened in this browser. */
function maySucceedLater(error) {
  return error.passing || error.body?.code === "own_name";
}

/** A draft as /api/drafts takes it. */
function wire({ annotator, image_id, round, revision, document }) {
  return { annotator, image_id, round, revision, document };
}
