// The image in hand and every action a person can take on it; keys and buttons both end here, by the action's name.
// Ties the model, the clock, the draft and the view of one image together; how things look is the page's business.

import { uuid } from "./api.js";
import { BoxModel, isOpen, wordOf } from "./boxes.js";
import { ActiveClock } from "./clock.js";
import { resized } from "./geometry.js";

/** So long without a sign of life, and images fetched ahead go back to the others; milliseconds. */
const AWAY_MS = 120_000;

const now = () => performance.now();

export class Desk {
  /** The image in hand: {prepared, task, model, clock, revision, saved, lost}, or null. */
  current = null;
  /** The class that drawn boxes get. */
  label = 0;
  #visited = [];
  #opening = null;
  #turn = 0;
  #alive = now();

  /**
   * @param {{study: object, annotator: string, tab: string, journal: import("./journal.js").Journal, courier: import("./courier.js").Courier,
   *   queue: import("./queue.js").Queue, view: import("./view.js").View, gestures: import("./gestures.js").Gestures, page: object}} parts
   */
  constructor(parts) {
    Object.assign(this, parts);
    this.gestures.tool = this.study.mode === "full" ? "draw" : "edit";
  }

  get model() { return this.current?.model ?? null; }
  get selected() { return this.model?.find(this.view.selected) ?? null; }

  /** Images the server must not hand out again to this page. */
  holding() {
    return [...this.courier.unsent, ...(this.current ? [this.current.task.image_id] : []), ...(this.#opening ? [this.#opening] : [])];
  }

  /** Does what a key or button means, if it can be done now. */
  act({ action, ...how }) {
    if (this[action] && (this.current || ["back", "toolEdit", "toolDraw", "toolExtreme", "names", "class"].includes(action))) this[action](how);
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

  /** Goes to an image of the person's choice; what is in hand comes back after it. @returns {Promise<boolean>} */
  async open(imageId, { quiet = false } = {}) {
    if (this.current?.task.image_id === imageId) return true;
    this.#opening = imageId;
    await this.courier.settled(3000); // an answer on its way would not be among the labels yet
    try {
      const chosen = await this.queue.open(imageId);
      if (this.current) this.queue.putAside(this.current.prepared);
      this.#leave();
      this.#show(chosen, { byHand: true });
      return true;
    } catch (error) {
      if (!quiet) this.page.hint(error.status === 409 && error.body.by ? this.#takenBy(error.body.by, imageId) : error.message, null, { lasting: true });
      return false;
    } finally {
      this.#opening = null;
    }
  }

  #takenBy(name, imageId) {
    return name === this.annotator ? `You have ${imageId} open in another tab.` : `${name} is labelling ${imageId} now.`;
  }

  back() {
    const last = this.#visited.pop();
    if (last) this.open(last);
    else this.page.hint("No image before this one in this session.");
  }

  #leave() {
    this.#turn++;
    this.current?.clock.stop(now());
    this.current = null;
    this.gestures.cancel();
  }

  #show(prepared, { byHand }) {
    const { task } = prepared, model = new BoxModel(task);
    const { document, revision, saved } = this.#draftOf(task);
    if (document) model.restore(document);
    const seconds = Number.isFinite(document?.seconds) ? document.seconds : 0;
    this.current = { prepared, task, model, clock: new ActiveClock(seconds), revision, saved, lost: false };
    if (byHand) this.current.clock.touch(now());
    this.page.clear();
    this.view.show(prepared, model);
    this.page.show(this.current);
    this.#choose(model.nextOpen(null), { quiet: true });
    if (document && saved < revision) this.#save();
    this.queue.fill();
  }

  /** The newest draft of an image: the server's, or the browser's own where the server does not have its last gestures. */
  #draftOf(task) {
    const kept = this.journal.draft(this.annotator, task.image_id), server = task.draft;
    const own = kept && kept.round === task.round && kept.revision >= (server?.revision ?? 0) ? kept : null;
    if (own) return { document: own.document, revision: own.revision, saved: own.saved };
    return { document: server?.document ?? null, revision: server?.revision ?? 0, saved: server?.revision ?? 0 };
  }

  // --- the lease, the clock ---

  /** A sign of life. */
  touch() {
    this.#alive = now();
    this.current?.clock.touch(now());
  }

  stopClock() { this.current?.clock.stop(now()); }

  /** Tells the server that the page is open. */
  async renew() {
    if (now() - this.#alive > AWAY_MS) this.queue.release();
    const lost = await this.queue.renew(this.current ? [this.current.task.image_id] : []).catch(() => []);
    for (const imageId of lost) this.lose(imageId);
    if (this.current && now() - this.#alive < AWAY_MS) this.queue.fill();
  }

  /** Somebody else has the image by now: drafts stay in the browser, and the answer goes into the history as a late one. */
  lose(imageId) {
    if (this.current?.task.image_id !== imageId || this.current.lost) return;
    this.current.lost = true;
    this.courier.drop(this.annotator, imageId, { keep: true });
    this.page.lost(this.current);
  }

  /** The page is going away: images that nothing was done to are free for others at once. */
  farewell() {
    this.courier.farewell();
    this.queue.farewell([...this.courier.unsent, ...(this.current?.revision ? [this.current.task.image_id] : [])]);
  }

  // --- gestures on boxes ---

  /** Runs a change of the model, charged with the time since the last one; saves what it changed. */
  #gesture(change) {
    const { clock, model } = this.current;
    clock.touch(now());
    const result = change(model, clock.sinceLap(now()));
    if (!result) return result;
    clock.lap(now());
    this.#save();
    this.view.invalidate();
    this.page.changed(this.current);
    return result;
  }

  #save() {
    const { task, model, clock, lost, saved } = this.current;
    const document = { ...model.document(), seconds: clock.seconds(now()) };
    const revision = ++this.current.revision;
    const draft = { annotator: this.annotator, image_id: task.image_id, round: task.round, revision, saved, document, at: Date.now() };
    if (lost) this.journal.keepDraft(draft);
    else this.courier.save(draft);
  }

  select(key) {
    this.model?.settle();
    this.view.select(key);
    this.page.selected(this.selected);
  }

  draw(xyxy) {
    const key = this.#gesture((model, seconds) => model.draw(xyxy, this.label, seconds));
    if (key) this.select(key);
  }

  place(key, xyxy) {
    this.#gesture((model, seconds) => model.place(key, xyxy, seconds));
  }

  nudge({ dx, dy, resize }) {
    const box = this.selected;
    if (!box) return this.view.pan(-40 * dx, -40 * dy);
    const [x1, y1, x2, y2] = box.xyxy;
    const xyxy = resize ? resized(box.xyxy, [dx ? 1 : 0, dy ? 1 : 0], dx, dy) : [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
    const { width, height } = this.model.size;
    if (!resize && (xyxy[0] < 0 || xyxy[1] < 0 || xyxy[2] > width || xyxy[3] > height)) return undefined; // shifting never shrinks
    return this.#gesture((model, seconds) => model.place(box.key, xyxy, seconds, { merge: resize ? "resize" : "nudge" }));
  }

  accept() {
    const box = this.selected;
    if (!box) return this.next();
    const asked = box.question;
    this.#gesture((model, seconds) => model.accept(box.key, seconds));
    return asked ? this.#goOn(box) : this.page.changed(this.current);
  }

  reject() {
    const box = this.selected;
    if (!box) return;
    this.#gesture((model, seconds) => model.remove(box.key, seconds));
    if (box.question) this.#goOn(box);
    else this.select(this.model.find(box.key) ? box.key : null);
  }

  acceptRest() {
    const count = this.model.open().length;
    if (this.#gesture((model, seconds) => model.acceptRest(seconds))) this.page.hint(`${count} accepted. Space: nothing missed, next image.`);
    this.select(null);
  }

  difficult() {
    const box = this.selected;
    if (box) this.#gesture((model, seconds) => model.toggleDifficult(box.key, seconds));
  }

  /** Gives the selected box a class; without one, says which class the next drawn box gets. */
  class({ label }) {
    if (!this.study.classes[label]) return;
    const box = this.selected;
    this.label = label;
    if (box && isOpen(box) && box.label === label) this.#gesture((model, seconds) => model.accept(box.key, seconds));
    else if (box) this.#gesture((model, seconds) => model.relabel(box.key, label, seconds));
    this.page.label(label);
  }

  async palette() {
    const label = await this.page.pickClass(this.selected?.label ?? this.label);
    if (label !== null && this.current) this.class({ label });
  }

  undo() { this.#travel("undo"); }
  redo() { this.#travel("redo"); }

  #travel(direction) {
    if (!this.#gesture((model) => model[direction]())) return this.page.hint(`Nothing to ${direction}.`);
    return this.select(this.selected ? this.view.selected : null);
  }

  // --- which box ---

  next() { this.#choose(this.model.nextOpen(this.view.selected, 1)); }
  previous() { this.#choose(this.model.nextOpen(this.view.selected, -1)); }

  #goOn(box) {
    this.#choose(this.model.nextOpen(box.key, 1));
  }

  #choose(box, { quiet = false } = {}) {
    this.select(box?.key ?? null);
    if (box) {
      const open = this.model.open();
      this.view.reveal(box.xyxy);
      this.page.announce(`${open.length} open. ${this.nameOf(box)}, ${wordOf(box)}`);
    } else if (!quiet) {
      this.page.hint(this.model.whole ? "All questions are answered. Space: nothing missed, next image." : "All questions are answered. Space: next image.");
    }
  }

  nameOf(box) { return this.study.classes[box.label]?.name ?? `class ${box.label}`; }

  escape() {
    if (!this.gestures.cancel()) this.select(null);
  }

  // --- done with the image ---

  /** Hands the image in; with questions open it goes to the first of them instead. */
  submit() {
    const open = this.model.open();
    if (!open.length) return this.#handIn();
    this.#choose(this.model.nextOpen(this.view.selected, 1));
    const count = open.length === 1 ? "One question is" : `${open.length} questions are`;
    return this.page.hint(`${count} open: accept or reject.`, { action: "submitRejecting", words: `Reject ${open.length === 1 ? "it" : "them"} and go on` });
  }

  submitRejecting() {
    this.#gesture((model, seconds) => model.rejectRest(seconds));
    this.#handIn();
  }

  #handIn() {
    const { task, model, clock } = this.current, seconds = Math.round(clock.seconds(now()) * 1000) / 1000;
    const body = { ...this.#whose(task), verdicts: model.verdicts(), complete: task.whole, seconds };
    const key = uuid();
    this.#finish("/api/answers", key, { key, ...body });
    this.page.done(task, seconds);
    this.advance();
  }

  skip() { this.#putOff(false); }
  flag() { this.#putOff(true); }

  async #putOff(flag) {
    const { task } = this.current, reason = await this.page.reason(flag, task);
    if (reason === null || this.current?.task !== task) return;
    this.#finish("/api/skips", uuid(), { ...this.#whose(task), reason, flag });
    this.advance();
  }

  #whose({ image_id, round }) {
    return { annotator: this.annotator, tab: this.tab, image_id, round };
  }

  #finish(path, key, body) {
    this.courier.post(path, key, body);
    this.courier.drop(this.annotator, body.image_id);
    this.#visited = [...this.#visited.filter((imageId) => imageId !== body.image_id), body.image_id];
  }

  // --- the view ---

  toolEdit() { this.#take("edit", "Edit: drag a box to move it."); }
  toolDraw() { this.#take("draw", "Draw: every drag is a new box."); }
  toolExtreme() { this.#take("extreme", "Extreme clicking: click the top-most point of the object."); }

  #take(tool, words) {
    if (tool !== "edit" && this.model && !this.model.whole) return this.page.hint("Only the questions are asked here; nothing is to be drawn.");
    this.gestures.tool = tool;
    this.page.tool(tool);
    return this.page.hint(words);
  }

  zoomIn() { this.view.zoom(1.25); }
  zoomOut() { this.view.zoom(0.8); }
  fit() { this.view.fit(); }
  closeUp() {
    if (this.selected) this.view.reveal(this.selected.xyxy, { near: true });
  }
  names() {
    this.view.names = !this.view.names;
    this.view.invalidate();
  }
}
