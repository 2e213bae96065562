// The boxes of one image while a person answers for them: gestures in, verdicts out, with undo and redo.
// Knows neither the DOM, the server nor the time: seconds come in with each gesture. A gesture makes a new list and never changes an
// old one, so the history is a stack of lists.

import { clamped, iou, sameBox } from "./geometry.js";
import { asLabelled, takenOver } from "./reopening.js";

/**
 * One box. id: the server's, "" for a drawn one. question: a person is asked about it. answer: "" before anyone has answered.
 * was: as the server showed it; null for a drawn one. seconds: labour of the gestures on it.
 * @typedef {{key: string, id: string, state: "certain"|"uncertain"|"settled"|"drawn", question: boolean, xyxy: number[], label: number,
 *   score: number|null, difficult: boolean, crowd: boolean, answer: ""|"keep"|"delete", seconds: number,
 *   was: {xyxy: number[], label: number, difficult: boolean}|null}} Box
 */

const DEEPEST = 300;
const SAME_IOU = 0.8; // of two boxes of a class that mean one object

export class BoxModel {
  #boxes;
  #past = [];
  #future = [];
  #merging = "";
  #made = 0;

  /** @param {object} task as the server gives it: {width, height, whole, boxes, labels?} */
  constructor(task) {
    this.size = { width: task.width, height: task.height };
    this.whole = task.whole;
    const shown = task.boxes.map(offered);
    this.#boxes = task.labels ? asLabelled(shown, task.labels, (label) => this.#drawn(label)) : shown;
  }

  /** @returns {readonly Box[]} */
  get boxes() { return this.#boxes; }
  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }
  /** Whether anything was done to the image since it was shown or restored. */
  get touched() { return this.canUndo || this.canRedo; }

  /** @returns {Box | undefined} */
  find(key) { return this.#boxes.find((box) => box.key === key); }

  /** Whether a person may change the box: where only questions are asked, only those. */
  editable(box) { return this.whole || box.question; }

  /** The questions without an answer, in the order shown. */
  open() { return this.#boxes.filter(isOpen); }

  /** The next (step 1) or previous (-1) open question after a box, round the end; null when none is left. */
  nextOpen(key, step = 1) {
    const at = this.#boxes.findIndex((box) => box.key === key), count = this.#boxes.length;
    const start = at < 0 && step < 0 ? 0 : at;
    for (let hop = 1; hop <= count; hop++) {
      const box = this.#boxes[(((start + hop * step) % count) + count) % count];
      if (isOpen(box) && box.key !== key) return box;
    }
    return at >= 0 && isOpen(this.#boxes[at]) ? this.#boxes[at] : null;
  }

  /** Draws a box. @returns {string | null} its key; null where it is too small or only questions are asked */
  draw(xyxy, label, seconds = 0, { difficult = false, crowd = false } = {}) {
    const inside = this.whole ? clamped(xyxy, this.size) : null;
    if (!inside) return null;
    const box = { ...this.#drawn({ xyxy: inside, label, difficult, crowd }), seconds };
    this.#commit([...this.#boxes, box]);
    return box.key;
  }

  /** Moves or resizes a box. Placements with the same `merge` in a row are one step of undo, as with held arrow keys. */
  place(key, xyxy, seconds = 0, { merge = "" } = {}) {
    const inside = clamped(xyxy, this.size), box = this.find(key);
    if (!inside || !box || sameBox(inside, box.xyxy)) return false;
    return this.#change(key, seconds, () => ({ xyxy: inside, answer: box.question ? "keep" : "" }), merge);
  }

  relabel(key, label, seconds = 0) {
    return this.#change(key, seconds, (box) => box.label !== label && { label, answer: box.question ? "keep" : "" });
  }

  /** The box is right as it is; brings a rejected one back. */
  accept(key, seconds = 0) {
    const answer = (box) => (box.question ? "keep" : "");
    return this.#change(key, seconds, (box) => box.was && box.answer !== answer(box) && { answer: answer(box) });
  }

  /** The box is wrong: a shown one is rejected, a drawn one is removed. */
  remove(key, seconds = 0) {
    const box = this.find(key);
    if (box && !box.was && this.editable(box)) return this.#commit(this.#boxes.filter((other) => other !== box));
    return this.#change(key, seconds, (shown) => shown.answer !== "delete" && { answer: "delete" });
  }

  /** Marks a box as hard to recognise, or takes the mark away. */
  toggleDifficult(key, seconds = 0) {
    return this.#change(key, seconds, (box) => ({ difficult: !box.difficult, answer: box.question ? "keep" : box.answer }));
  }

  acceptRest(seconds = 0) { return this.#answerRest(() => "keep", seconds); }
  rejectRest(seconds = 0) { return this.#answerRest(() => "delete", seconds); }
  /** Accepts open questions of a score or more and rejects those below. */
  answerBy(score, seconds = 0) { return this.#answerRest((box) => answerAt(box, score), seconds); }

  /** Draws many boxes as one step; those that are there already are left out. @returns {number} how many were new */
  drawAll(boxes, seconds = 0) {
    const fresh = this.whole ? boxes.map((box) => ({ ...box, xyxy: clamped(box.xyxy, this.size) })).filter((box) => box.xyxy && !this.#has(box)) : [];
    if (!fresh.length) return 0;
    this.#commit([...this.#boxes, ...fresh.map((box) => ({ ...this.#drawn(box), seconds: seconds / fresh.length }))]);
    return fresh.length;
  }

  #has(box) {
    return this.#boxes.some((other) => other.answer !== "delete" && isSame(other, box));
  }

  /**
   * Puts what a person had said of other boxes on those of now, as one step.
   * @param {object} document as `document` gave it; its labels by now @param {(label: number) => number} labelOf -1: none
   * @returns {{gone: number, unplaced: number}} how many boxes are left out: those whose class is gone, and those that found no place, as
   *   where only other boxes are asked about; all others are there
   */
  takeOver({ boxes }, labelOf) {
    const own = boxes.filter((box) => isSound(box) && (box.own || !box.id)).map((box) => ({ ...box, label: labelOf(box.label) }));
    const drawn = this.#boxes.filter((box) => !box.was), editable = this.#boxes.filter((box) => box.was && this.editable(box));
    const left = own.filter((box) => box.answer !== "delete").map((box) => ({ ...box, xyxy: clamped(box.xyxy, this.size) }));
    const kept = left.filter((box) => box.label >= 0 && box.xyxy && !drawn.some((other) => isSame(other, box)));
    const rejected = own.filter((box) => box.answer === "delete");
    const judged = takenOver(editable, kept, rejected, (label) => this.#drawn(label));
    const anew = new Map(editable.map((box, at) => [box, judged[at]])), placed = editable.filter((box) => anew.get(box) !== box);
    const further = this.whole ? judged.slice(editable.length) : [];
    this.#commit([...this.#boxes.map((box) => anew.get(box) ?? box), ...further]);
    const outside = left.filter((box) => box.label >= 0 && !box.xyxy).length;
    const unasked = this.whole ? 0 : kept.length + rejected.length - placed.length;
    return { gone: left.filter((box) => box.label < 0).length, unplaced: outside + unasked };
  }

  undo() { return this.#travel(this.#past, this.#future); }
  redo() { return this.#travel(this.#future, this.#past); }

  /** Ends a run of merged placements: the next one is a step of its own. */
  settle() { this.#merging = ""; }

  /** What the person answered, for /api/answers: nothing for certain and settled boxes that were left alone. */
  verdicts() { return this.#boxes.map(verdictOf).filter((verdict) => verdict !== null); }

  /** What undo goes back through, as a reload keeps it: the last `depth` lists of boxes; plain JSON. */
  history(depth) {
    const last = (lists) => lists.slice(-depth).map((boxes) => boxes.map(kept));
    return { past: last(this.#past), future: last(this.#future), made: this.#made };
  }

  /** Takes up a history of this very image, after its draft was taken up. */
  recall({ past, future, made }) {
    const lists = [past, future];
    if (!lists.every((list) => Array.isArray(list) && list.every((boxes) => Array.isArray(boxes) && boxes.every(isSound)))) return;
    const shown = new Map(this.#boxes.filter((box) => box.was).map((box) => [box.id, box]));
    const again = (box) => (box.id ? shown.has(box.id) && { ...shown.get(box.id), ...editsOf(box) } : this.#redrawn(box));
    [this.#past, this.#future] = lists.map((list) => list.map((boxes) => boxes.map(again).filter(Boolean)));
    this.#made = Number.isInteger(made) ? Math.max(made, this.#made) : this.#made;
  }

  /** What a draft keeps; plain JSON. */
  document() {
    return { boxes: this.#boxes.map(kept) };
  }

  /** Takes up a draft. Shown boxes are found by id; what it holds of boxes that are no longer shown is left out. */
  restore(document) {
    const saved = Array.isArray(document?.boxes) ? document.boxes.filter(isSound) : [];
    const byId = new Map(saved.filter((box) => box.id).map((box) => [box.id, box]));
    const shown = this.#boxes.filter((box) => box.was).map((box) => ({ ...box, ...editsOf(byId.get(box.id)) }));
    const drawn = saved.filter((box) => !box.id && this.whole && clamped(box.xyxy, this.size));
    this.#boxes = [...shown, ...drawn.map((box) => this.#redrawn(box))];
    [this.#past, this.#future, this.#merging] = [[], [], ""];
  }

  /** A drawn box that was kept, under its own key, so that a history knows it again. */
  #redrawn(box) {
    const number = Number(/^drawn-(\d{1,6})$/.exec(box.key)?.[1] ?? this.#made + 1);
    const drawn = this.#drawn(box);
    this.#made = Math.max(this.#made - 1, number);
    return { ...drawn, key: `drawn-${number}`, seconds: box.seconds };
  }

  #drawn({ xyxy, label, difficult = false, crowd = false }) {
    const key = `drawn-${++this.#made}`;
    return { key, id: "", state: "drawn", question: false, xyxy, label, score: null, difficult, crowd, answer: "", seconds: 0, was: null };
  }

  #change(key, seconds, change, merge = "") {
    const box = this.find(key), changes = box && this.editable(box) && change(box);
    if (!changes) return false;
    const after = { ...box, ...changes, seconds: box.seconds + seconds };
    return this.#commit(this.#boxes.map((other) => (other === box ? after : other)), merge && `${merge} ${key}`);
  }

  #answerRest(answer, seconds) {
    const open = this.open();
    if (!open.length) return false;
    const share = seconds / open.length;
    return this.#commit(this.#boxes.map((box) => (isOpen(box) ? { ...box, answer: answer(box), seconds: box.seconds + share } : box)));
  }

  #commit(boxes, merge = "") {
    if (!merge || merge !== this.#merging) this.#past.push(this.#boxes);
    if (this.#past.length > DEEPEST) this.#past.shift();
    [this.#boxes, this.#future, this.#merging] = [boxes, [], merge];
    return true;
  }

  #travel(from, to) {
    if (!from.length) return false;
    to.push(this.#boxes);
    [this.#boxes, this.#merging] = [from.pop(), ""];
    return true;
  }
}

/** What a question is answered by a threshold: one without a score is left for the person to reject. */
export function answerAt(box, score) {
  return (box.score ?? 0) >= score ? "keep" : "delete";
}

export function isOpen(box) {
  return box.question && box.answer === "";
}

/** A box as the server shows it. @returns {Box} */
function offered({ id, state, question = state === "uncertain", xyxy, label, score = null, difficult = false, crowd = false }) {
  const was = { xyxy, label, difficult };
  return { key: id, id, state, question, xyxy, label, score, difficult, crowd, answer: "", seconds: 0, was };
}

function verdictOf(box) {
  const act = (action, xyxy, label) => ({
    action, box_id: box.id, xyxy, label, seconds: Math.round(box.seconds * 1000) / 1000, difficult: box.difficult, crowd: box.crowd,
  });
  if (!box.was) return act("add", box.xyxy, box.label);
  if (box.answer === "delete") return act("delete", null, null);
  const label = box.label === box.was.label ? null : box.label;
  if (!sameBox(box.xyxy, box.was.xyxy)) return act("move", box.xyxy, label);
  if (label !== null) return act("relabel", null, label);
  return box.answer === "keep" || box.difficult !== box.was.difficult ? act("keep", null, null) : null;
}

/** What a person made of a box. */
function editsOf(box) {
  if (!box) return {};
  const { xyxy, label, difficult, crowd, answer, seconds } = box;
  return { xyxy, label, difficult, crowd, answer, seconds };
}

/** A box as drafts and histories keep it. own: whether the person has said anything of a shown one. */
function kept(box) {
  return { id: box.id, ...(box.id ? { own: verdictOf(box) !== null } : { key: box.key }), ...editsOf(box) };
}

/** Whether two boxes of a class mean one object. */
function isSame(a, b) {
  return a.label === b.label && iou(a.xyxy, b.xyxy) > SAME_IOU;
}

/** Whether a draft's box can be trusted to be one: drafts come back from the server and from the browser's storage. */
function isSound(box) {
  return Array.isArray(box?.xyxy) && box.xyxy.length === 4 && box.xyxy.every(Number.isFinite) && Number.isInteger(box.label)
    && typeof box.id === "string" && ["", "keep", "delete"].includes(box.answer) && Number.isFinite(box.seconds);
}

/**
 * The state of a box, in one word: "open" question, "certain" (the model's, unseen by people), "human" (a person's or confirmed by one),
 * "rejected", or "unasked" (uncertain, but not among the questions).
 */
export function statusOf(box) {
  if (!known.has(box)) known.set(box, computedStatus(box)); // a box never changes: a gesture makes another
  return known.get(box);
}

const known = new WeakMap();

function computedStatus(box) {
  if (box.answer === "delete") return "rejected";
  if (isOpen(box)) return "open";
  if (box.state === "uncertain" && !box.question) return "unasked";
  return box.state === "certain" && verdictOf(box) === null ? "certain" : "human";
}

/** The same for people to read, with what was done to the box. */
export function wordOf(box) {
  const state = statusOf(box);
  if (state === "open") return "uncertain";
  if (state !== "human") return state;
  if (!box.was) return "drawn";
  if (!sameBox(box.xyxy, box.was.xyxy)) return "moved";
  if (box.label !== box.was.label) return "relabelled";
  return box.answer === "keep" ? "accepted" : "settled";
}
