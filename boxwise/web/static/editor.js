// The image being labelled, from the moment it is shown until it is handed in, skipped or put aside.
// Connects the model, the clock, the draft and the view of one image; changes of its boxes are in acts.js, what the page shows in main.js.

import { uuid } from "./api.js";
import { Acts } from "./acts.js";
import { BoxModel } from "./boxes.js";
import { ActiveClock } from "./clock.js";
import { Finished } from "./finished.js";
import { withPicture } from "./queue.js";
import { drawnIn } from "./reopening.js";
import { remember, remembered } from "./tabs.js";
import { WHY_UNSEEN } from "./view.js";
import { t } from "./words.js";

/** After so long without input, images fetched ahead are released to others, and the one shown is not renewed; milliseconds. */
const AWAY_MS = 120_000;
/** Between two requests for a picture that has not come; milliseconds. */
const PICTURE_PAUSE_MS = 3000;
/** For how long an image must have been in sight before it can be handed in; milliseconds. */
const LOOK_MS = 300;
/** How many steps of undo outlive a reload. */
const HISTORY = 20;
/** Actions that need no image. */
const ALWAYS = ["back", "undoHandIn", "toolEdit", "toolDraw", "toolExtreme", "toolModel", "names", "class", "hide"];

const now = () => performance.now();

export class Editor {
  /**
   * The open image: {prepared, task, model, clock, revision, saved, begunOn, lost, seen}, or null. begunOn: number of the labels that the
   * work on it began with; seen: long enough to be handed in.
   */
  current = null;
  #opening = null;
  #turn = 0;
  #lastInput = now();
  #keeping = 0;

  /**
   * @param {{study: object, annotator: string, tab: string, journal: import("./journal.js").Journal, outbox: import("./outbox.js").Outbox,
   *   queue: import("./queue.js").Queue, view: import("./view.js").View, gestures: import("./gestures.js").Gestures, page: object,
   *   presence: import("./presence.js").Presence}} parts
   */
  constructor(parts) {
    Object.assign(this, parts);
    this.gestures.tool = this.study.mode === "full" ? "draw" : "edit";
    this.finished = new Finished(`boxwise/${this.study.id ?? this.study.name}/${this.annotator}/finished`);
    this.historyKey = `boxwise/${this.study.id ?? this.study.name}/${this.annotator}/history`;
    this.acts = new Acts(this);
    /** Further parts whose actions keys and buttons name. @type {object[]} */
    this.helpers = [];
  }

  get model() { return this.current?.model ?? null; }
  get selected() { return this.model?.find(this.view.selected) ?? null; }

  /** Images the server must not hand out again to this page. */
  holding() {
    return [...this.outbox.unsent, ...(this.current ? [this.current.task.image_id] : []), ...(this.#opening ? [this.#opening] : [])];
  }

  /** Does what a key or button means, if it can be done now. */
  act({ action, ...how }) {
    const owner = [this, this.acts, ...this.helpers].find((one) => one[action]);
    if (owner && (this.current || ALWAYS.includes(action))) owner[action](how);
    else this.page.act(action);
  }

  // --- which image ---

  /** Goes on to the next image, or says why there is none. */
  async advance({ byHand = true } = {}) {
    this.#leave();
    const turn = this.#turn;
    const next = await this.queue.take().catch((error) => ({ reason: error.passing ? "offline" : "error", words: error.message }));
    if (turn !== this.#turn) return next.task && this.queue.putAside(next);
    if (next.task) this.#show(next, { byHand });
    else this.page.wait(next.reason || "answered", next.words);
  }

  /**
   * Goes to an image of the person's choice. The open image comes back after it, unless nothing was done to it: then others may have it.
   * @returns {Promise<boolean>}
   */
  async open(imageId, { quiet = false, anew = false, said } = {}) {
    if (!anew && this.current?.task.image_id === imageId) return true;
    this.#opening = imageId;
    await this.outbox.settled(3000); // an answer on its way would not be among the labels yet
    try {
      const chosen = await this.queue.open(imageId, { anew, said });
      if (this.#isOvertaken(chosen.task)) await this.queue.letGo(imageId);
      this.#putAside();
      this.#leave();
      this.#show(chosen, { byHand: true });
      return true;
    } catch (error) {
      if (!quiet || error.status === 403) this.page.hint(error.status === 409 && error.body.by ? this.#takenBy(error.body.by, imageId) : error.message, null, { lasting: true });
      return false;
    } finally {
      this.#opening = null;
    }
  }

  #putAside() {
    this.#keepTime();
    if (!this.current || this.current.lost || this.current.task.image_id === this.#opening) return;
    if (this.current.revision) this.queue.putAside(this.current.prepared);
    else this.queue.giveBack([this.current.task.image_id]);
  }

  /** Opens the image of an answer that was not taken, as it is by now, with what the person had said; what is missing there stays kept. */
  async takeUp(request) {
    const { image_id: imageId, classes } = request.body, document = request.document ?? drawnIn(request.body);
    if (!(await this.open(imageId, { anew: true, said: classes })) || !this.outbox.refused.includes(request)) return; // pressed twice
    const { labels } = this.current.prepared;
    this.current.clock.add(document.seconds);
    const missing = this.gesture((model) => model.takeOver(document, (label) => (labels ? labels[label] ?? -1 : label)));
    const unplaced = missing.unplaced + (document.left_out ?? 0);
    if (missing.gone || unplaced) this.outbox.keep({ ...request, document: uncharged(document) });
    else this.outbox.discard(request);
    const words = [t`What you had said of ${imageId} is on the boxes of now: look it over, then hand it in.`];
    if (missing.gone) words.push(t`Boxes that are missing, since their class is gone: ${missing.gone}.`);
    if (unplaced) words.push(t`Boxes that found no place here: ${unplaced}.`);
    this.page.hint(words.join(" "), null, { lasting: true });
  }

  #classes() { return this.study.classes.map(({ name }) => name); }

  #takenBy(name, imageId) {
    return name === this.annotator ? t`You have ${imageId} open in another tab.` : t`${name} is labelling ${imageId} now.`;
  }

  back() {
    const last = this.finished.pop();
    if (last) this.open(last.image_id);
    else this.page.hint("No image before this one in this session.");
  }

  /** Goes to the next open question, of this image or of the next one that has any; the open image is not handed in. */
  async nextUncertain() {
    if (this.model.open().length) return this.acts.next();
    const imageId = await this.queue.uncertain(this.current.task).catch(() => null);
    return imageId ? this.open(imageId) : this.page.hint("No other image of this round has an open question.");
  }

  #leave() {
    this.#turn++;
    this.current?.clock.stop(now());
    this.current = null;
    this.gestures.cancel();
  }

  #show(prepared, { byHand }) {
    const { task } = prepared, model = new BoxModel(task);
    const { document, revision, saved, stale } = this.#draftOf(task);
    if (document) {
      model.restore(document);
      this.#recall(task, model, revision);
    }
    const kept = this.journal.seconds(this.annotator, task.image_id, { round: task.round, revision });
    const seconds = [kept, document?.seconds, 0].find(Number.isFinite);
    const lost = this.#isOvertaken(task), begunOn = lost ? document.begun_on : task.begun_on;
    this.current = { prepared, task, model, clock: new ActiveClock(seconds), revision, saved, begunOn, lost, seen: false };
    if (byHand && this.presence.here) this.current.clock.touch(now());
    this.page.clear();
    this.view.show(prepared, model);
    this.page.show(this.current);
    this.acts.choose(model.nextOpen(null), { quiet: true });
    if (document && saved < revision) this.#save();
    if (stale) {
      this.outbox.drop(this.annotator, task.image_id);
      this.page.hint(t`Your unfinished work on ${task.image_id} was for other boxes or classes, which are no longer asked about.`, null, { lasting: true });
    }
    if (prepared.fault === "late") this.#awaitPicture(this.current);
    else this.#see(this.current);
    this.queue.fill();
  }

  /** Asks again and again for a picture that has not come, while its image is open. */
  async #awaitPicture(current) {
    const { prepared } = current;
    while (prepared.fault === "late" && this.current === current) {
      await new Promise((done) => setTimeout(done, PICTURE_PAUSE_MS));
      Object.assign(prepared, await withPicture(current.task));
    }
    if (this.current !== current) return;
    this.view.showPicture(prepared);
    this.#see(current);
  }

  /** Whether somebody else has answered the image since the draft of it was begun: then what it becomes is a late answer. */
  #isOvertaken(task) {
    const { document } = this.#draftOf(task);
    return Boolean(document && task.by_another && (document.begun_on ?? null) !== task.begun_on);
  }

  /** An image is seen once its picture has been on the screen for a moment; on a hidden page no frame comes. */
  #see(current) {
    if (current.prepared.fault) return;
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => {
      current.seen = true;
      if (this.current === current) this.page.seen();
    }, LOOK_MS)));
  }

  /**
   * The newest draft of an image: the server's, or the browser's own where the server does not have its last gestures.
   * stale: whether there was one of another question, which is left out; its revision stays, as the next must be higher.
   */
  #draftOf(task) {
    const kept = this.journal.draft(this.annotator, task.image_id), server = task.draft;
    const own = kept && kept.round === task.round && kept.revision >= (server?.revision ?? 0) ? kept : null;
    const { document, revision, saved } = own ?? { document: server?.document, revision: server?.revision ?? 0, saved: server?.revision ?? 0 };
    const stale = Boolean(document?.question) && document.question !== task.question;
    return { document: stale ? null : document ?? null, revision, saved, stale };
  }

  /** What a draft keeps: the boxes, what they answer, the labels that they began with, and the time that it took. */
  #document() {
    const { task, model, clock, begunOn } = this.current;
    return { ...model.document(), question: task.question, begun_on: begunOn, seconds: clock.seconds(now()) };
  }

  /** What could be undone before the page was loaded anew can be undone still. */
  #recall({ image_id: imageId, round }, model, revision) {
    const kept = remembered("sessionStorage", this.historyKey, null);
    if (kept?.image_id === imageId && kept.round === round && kept.revision === revision) model.recall(kept.history);
  }

  // --- the lease, the clock ---

  /** The person has done something. */
  touch() {
    const away = this.#isAway;
    this.#lastInput = now();
    this.current?.clock.touch(now());
    if (away) this.renew();
  }

  get #isAway() { return now() - this.#lastInput > AWAY_MS; }

  /** The person is not at this page: it is out of sight, or they are at another window. */
  stopClock() {
    this.current?.clock.stop(now());
    this.#keepTime();
  }

  /** What the open image took until now counts when it is taken up again, also what came after its last gesture. */
  #keepTime() {
    if (!this.current) return;
    const { task: { image_id, round }, revision, clock } = this.current;
    this.journal.keepTime({ annotator: this.annotator, image_id, round, revision, seconds: clock.seconds(now()) });
  }

  /** From time to time: renews the leases while somebody is here, and gives back what nothing was done to when nobody is. */
  keepInHand() {
    if (this.#isAway) this.queue.release((imageId) => Boolean(this.journal.draft(this.annotator, imageId)));
    else this.renew();
  }

  /** Renews the leases. */
  async renew() {
    const shown = this.current && { image_id: this.current.task.image_id, begun_on: this.current.begunOn ?? null };
    const lost = await this.queue.renew(shown ? [shown] : []).catch((error) => {
      if (!error.passing) this.page.hint(t`Your images could not be kept in hand: ${error.message}`, null, { lasting: true });
      return [];
    });
    for (const imageId of lost) this.lose(imageId);
    if (this.current && !this.#isAway) this.queue.fill();
  }

  /** Somebody else has the image now: drafts stay in the browser, and the answer goes into the history as a late one. */
  lose(imageId) {
    if (this.current?.task.image_id !== imageId || this.current.lost) return;
    this.current.lost = true;
    this.outbox.drop(this.annotator, imageId, { keep: true });
    this.page.lost(this.current);
  }

  /** The page is going away: untouched images are released at once. */
  close() {
    this.#keepTime();
    this.outbox.close();
    this.queue.close([...this.outbox.unsent, ...(this.current?.revision ? [this.current.task.image_id] : [])]);
  }

  // --- gestures on boxes ---

  /** Runs a change of the model, charged with the time since the last one; saves what it changed. */
  gesture(change) {
    const { clock, model } = this.current;
    if (this.presence.here) clock.touch(now()); // what a model answers may come when nobody looks
    const result = change(model, clock.sinceLap(now()));
    if (!result) return result;
    clock.lap(now());
    this.#save();
    this.view.invalidate();
    this.page.changed(this.current);
    return result;
  }

  #save() {
    const { task, model, lost, saved } = this.current, document = this.#document();
    const revision = ++this.current.revision;
    const draft = { annotator: this.annotator, image_id: task.image_id, round: task.round, revision, saved, document, at: Date.now() };
    if (lost) this.journal.keepDraft(draft);
    else this.outbox.save(draft);
    const history = { image_id: task.image_id, round: task.round, revision, history: model.history(HISTORY) };
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => remember("sessionStorage", this.historyKey, history));
  }

  // --- done with the image ---

  /** Hands the image in; with questions open it goes to the first of them instead. */
  submit() {
    const open = this.model.open();
    if (!open.length) return this.#handIn();
    this.acts.choose(this.model.nextOpen(this.view.selected, 1));
    const [words, offer] = open.length === 1
      ? [t("One question is open: accept or reject."), t("Reject it and go on")]
      : [t`${open.length} questions are open: accept or reject.`, t("Reject them and go on")];
    return this.page.hint(words, { action: "submitRejecting", words: offer });
  }

  submitRejecting() {
    if (!this.current.seen) return this.#unseen();
    this.gesture((model, seconds) => model.rejectRest(seconds));
    return this.#handIn();
  }

  #unseen() {
    const { fault } = this.current.prepared;
    this.page.hint(fault ? WHY_UNSEEN[fault] : t("This image has only just come into sight: look, then hand it in."));
  }

  #handIn() {
    if (!this.current.seen) return this.#unseen();
    const { task, model, begunOn } = this.current;
    const about = { question: task.question, begun_on: begunOn ?? null };
    const said = { classes: this.#classes(), verdicts: model.verdicts(), complete: task.whole, ...about };
    const seconds = this.#finish("answer", "/api/answers", said);
    this.page.done(task, seconds, { empty: model.boxes.every((box) => box.answer === "delete") });
    return this.advance();
  }

  skip() { this.#putOff("skip"); }
  flag() { this.#putOff("flag"); }

  async #putOff(kind) {
    const { task } = this.current, flag = kind === "flag", reason = await this.page.reason(flag, task);
    if (reason === null || this.current?.task !== task) return;
    this.#finish(kind, "/api/skips", { reason, flag });
    this.advance();
  }

  /** Takes back what was handed in, skipped or flagged last, and goes to it as it was left. */
  async undoHandIn() {
    const last = this.finished.pop();
    if (!last) return this.page.hint("Nothing was handed in yet.");
    const { image_id: imageId, round, document, key } = last, whose = this.#whose(last);
    if (last.kind === "answer" && document) { // without its boxes an answer stays: they come back as its labels
      this.outbox.post("/api/withdrawals", uuid(), { ...whose, key });
      this.page.takenBack(last.seconds);
    }
    const path = { flag: "/api/unflags", skip: "/api/unskips" }[last.kind];
    if (path) this.outbox.post(path, uuid(), { annotator: whose.annotator, tab: whose.tab, image_id: imageId });
    const again = { revision: last.revision + 1, saved: 0, document: uncharged(document), at: Date.now() };
    if (document) this.outbox.save({ annotator: this.annotator, image_id: imageId, round, ...again });
    return this.open(imageId);
  }

  #whose({ image_id, round }) {
    return { annotator: this.annotator, tab: this.tab, image_id, round };
  }

  /** Sends what was decided of the image, and forgets what was kept of it here. @returns {number} the seconds that are stored with it */
  #finish(kind, path, decided) {
    const { task, revision, clock } = this.current, { image_id: imageId, round } = task, key = uuid();
    const document = this.#document(), seconds = Math.round(clock.seconds(now()) * 1000) / 1000;
    this.outbox.post(path, key, { ...this.#whose(task), ...decided, key, seconds }, kind === "answer" ? document : undefined);
    this.outbox.drop(this.annotator, imageId);
    this.journal.dropTime(this.annotator, imageId); // what the server keeps of a skipped image has no seconds any more
    this.queue.finished(imageId);
    this.finished.push({ kind, image_id: imageId, round, key, revision, document, seconds });
    return seconds;
  }
}

/** A document without the seconds that it took: these are stored already, and count. */
function uncharged(document) {
  return document && { ...document, seconds: 0, boxes: document.boxes.map((box) => ({ ...box, seconds: 0 })) };
}
