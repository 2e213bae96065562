// Wires the labelling page: who is labelling, the parts, their events, and which image comes first after a reload.
// Holds no state of its own beyond the figures of this session.

import { get, post, uuid } from "./api.js";
import { BoxList } from "./list.js";
import { Outbox } from "./outbox.js";
import { Editor } from "./editor.js";
import { askClass, askName, askReason, showHelp } from "./dialogs.js";
import { element, say } from "./dom.js";
import { Doubts } from "./doubts.js";
import { Gestures } from "./gestures.js";
import { Journal } from "./journal.js";
import { keysOf, listen } from "./keys.js";
import { Looking } from "./looking.js";
import { QueuePanel, markClass, showClasses, showPace, showProgress, showRefused, showTrouble, showWhy } from "./panels.js";
import { Queue } from "./queue.js";
import { Scores } from "./scores.js";
import { Presence } from "./presence.js";
import { remember, remembered, rememberName, rememberedName, tabName } from "./tabs.js";
import { View } from "./view.js";
import { Waiting } from "./waiting.js";
import { Wand } from "./wand.js";
import { offerLanguages, t, translate } from "./words.js";

const HINT_MS = 6000;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** The study, as soon as the server answers. */
async function studyOf() {
  for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
    try {
      return await get("/api/study");
    } catch (error) {
      element("waiting-words").textContent = `${error.message} ${t("Trying again.")}`;
      await sleep(pause);
    }
  }
}

/** The name that the person's own link says, or the one that they give. */
async function annotatorOf({ member }) {
  if (member) return member.name;
  let name = rememberedName();
  while (!name) rememberName(name = (await askName("")) ?? "");
  return name;
}

/** Who is labelling. By a link of their own people have a role, and their name cannot be changed. */
function showPerson(name, member) {
  const shown = element("annotator");
  shown.textContent = member ? `${name} · ${t(member.role)}` : name;
  if (!member) return;
  shown.disabled = true;
  shown.title = t("Labelling by a link of your own");
  for (const link of document.querySelectorAll('a[href="/dashboard"], #to-review')) link.hidden = member.role === "annotator";
}

/** The page: everything the editor has shown, and the questions it has asked. */
class Page {
  #pace;
  #hiding = 0;
  #lasting = false;

  constructor(study, annotator) {
    this.study = study;
    this.annotator = annotator;
    this.paceKey = `boxwise/${study.id ?? study.name}/${annotator}/pace`;
    this.#pace = remembered("sessionStorage", this.paceKey, []);
    showPace(this.#pace);
    showProgress(study);
    document.title = `${study.name} · boxwise`;
    element("study").textContent = study.name;
  }

  /** @param {{editor: Editor, doubts: Doubts, scores: Scores, wand: Wand, list: BoxList, queuePanel: QueuePanel, waiting: Waiting}} parts */
  wire(parts) { Object.assign(this, parts); }

  // --- the image being labelled ---

  /** An image is about to be shown: the stage must have its size by then. */
  clear() {
    this.waiting.hide();
    delete element("stage").dataset.seen;
    this.#hintsOver("stage");
  }

  /** The image has been in sight for long enough to be handed in. */
  seen() { element("stage").dataset.seen = "true"; }

  show(current) {
    element("lost").hidden = !current.lost;
    this.#over(current.task);
    this.#sentBack(current.task);
    this.doubts.show(current);
    this.wand.prepare(current.task);
    showWhy(current.task, this.study.asked);
    if (current.task.round !== this.study.round) get("/api/progress").then((progress) => this.progress(progress), () => {});
    for (const tool of ["toolDraw", "toolExtreme", "toolModel"]) button(tool).disabled = !current.task.whole;
    this.changed(current);
    this.queuePanel.refresh(current.task.image_id);
    const open = current.model.open().length, { image_id: name } = current.task;
    element("stage").setAttribute("aria-label", open === 1 ? t`Image ${name}, one open question` : t`Image ${name}, ${open} open questions`);
    if (!document.activeElement?.closest("aside, dialog")) element("stage").focus({ preventScroll: true });
  }

  changed({ model, task }) {
    const open = model.open().length;
    this.list.show(model.boxes, this.editor.view.selected);
    button("undo").disabled = !model.canUndo;
    button("redo").disabled = !model.canRedo;
    button("acceptRest").disabled = !open;
    for (const action of ["next", "previous"]) button(action).disabled = !model.boxes.length;
    button("acceptRest").querySelector("span").textContent = open > 1 ? t`Accept all ${open}` : t("Accept all");
    element("submit-words").textContent = open ? t`${open} open` : task.whole ? t("Nothing missed, next") : t("Done, next");
    element("open-count").textContent = open ? t`${open} open` : t("none open");
    this.selected(this.editor.selected);
    this.scores.show(model);
  }

  selected(box) {
    this.list.mark(box?.key ?? null);
    const editable = Boolean(box && this.editor.model.editable(box));
    for (const action of ["accept", "reject", "difficult", "copy", "duplicate"]) button(action).disabled = !editable;
    button("closeUp").disabled = !box;
    button("difficult").setAttribute("aria-pressed", String(Boolean(box?.difficult)));
    button("reject").querySelector("span").textContent = box && !box.question ? t("Delete") : t("Reject");
    markClass(box?.label ?? this.editor.acts.label);
  }

  label(label) { markClass(this.editor.selected?.label ?? label); }

  tool(tool) {
    for (const control of document.querySelectorAll("[data-tool]")) {
      if (control.dataset.action) control.setAttribute("aria-pressed", String(control.dataset.tool === tool));
    }
  }

  /** @param {{empty: boolean}} what empty: no box is left on the image */
  done(task, seconds, { empty }) {
    delete element("stage").dataset.seen;
    this.#paced([...this.#pace, seconds]);
    if (empty) this.hint(t`${task.image_id} handed in without any box.`, { action: "undoHandIn", words: t("Undo") }, { lasting: true });
    else this.announce(t`${task.image_id} handed in`);
  }

  /** The answer of so many seconds is none of this session's any more. */
  takenBack(seconds) {
    const at = this.#pace.lastIndexOf(seconds);
    this.#paced(this.#pace.filter((_, place) => place !== at));
  }

  #paced(pace) {
    this.#pace = pace;
    remember("sessionStorage", this.paceKey, pace);
    showPace(pace);
  }

  hidden(all, labels) {
    const names = labels.map((label) => this.study.classes[label].name).join(", ");
    say("hidden", all ? t("Boxes are hidden") : names && t`Hidden: ${names}`);
    button("hide").setAttribute("aria-pressed", String(all || labels.length > 0));
  }

  lost() { element("lost").hidden = false; }

  // --- the round ---

  progress(progress) {
    Object.assign(this.study, progress);
    showProgress(this.study);
    showTrouble(this.study);
    if (this.editor?.current) this.#over(this.editor.current.task);
  }

  /** Whether the round that asked for the image has ended meanwhile, as after a night. */
  #over(task) {
    const over = task.round < this.study.round && task.rank !== null;
    say("over", over ? t`Round ${task.round}, which asked for this image, is over. What you hand in is stored all the same, as a correction.` : "");
  }

  /** What a reviewer said of the answer that is to be mended. */
  #sentBack({ remark }) {
    say("remark", remark ? t`Sent back by ${remark.by}: ${remark.words}` : "");
  }

  answered({ request, reply }) {
    if (Number.isFinite(reply.waiting) && request.body.round === this.study.round) {
      this.progress({ waiting: reply.waiting, answered: this.study.asked - reply.waiting });
    }
    if (reply.late) this.hint(t`${request.body.image_id} came late: it is kept in the history, and the newer answer counts.`, null, { lasting: true });
  }

  /** What the server refused for good; whoever has decided about all of it is back at the image. */
  refused(outbox) {
    const back = () => (element("refused").querySelector("button") ?? element("stage")).focus({ preventScroll: true });
    showRefused(outbox.refused, {
      annotator: this.annotator,
      takeUp: (request) => this.editor.takeUp(request),
      repost: (request) => { outbox.repost(request); back(); },
      discard: (request) => { outbox.discard(request); back(); },
    });
  }

  wait(reason, words) {
    element("lost").hidden = true;
    this.editor.view.clear();
    if (!this.waiting.shown) this.#hintsOver("waiting");
    this.waiting.show(reason, words);
  }

  // --- messages and questions ---

  /**
   * A line over the stage, or over the words in its place, for a while; it goes with the image, unless it is lasting.
   * @param {{action: string, words: string}} [offer] a button beside the words
   */
  hint(words, offer = null, { lasting = false } = {}) {
    clearTimeout(this.#hiding);
    this.#lasting = lasting;
    element("hint-words").textContent = t(words);
    element("hint-offer").hidden = !offer;
    if (offer) {
      element("hint-offer").dataset.action = offer.action;
      element("hint-offer").textContent = `${offer.words} (${keysOf(offer.action)[0]})`;
    }
    element("hint").hidden = false;
    this.#hiding = setTimeout(() => {
      this.#lasting = false;
      element("hint").hidden = true;
    }, lasting ? 2 * HINT_MS : HINT_MS);
  }

  /** Hints lie over what is shown from now on; what is hidden hides them, too. */
  #hintsOver(place) {
    if (!this.#lasting) element("hint").hidden = true;
    element(place).append(element("hint"));
  }

  announce(words) { element("live").textContent = words; }

  pickClass(current) { return askClass(this.study.classes, current); }
  reason(flag, task) { return askReason(flag, task.image_id); }

  /** Actions that concern the page alone. */
  act(action) {
    if (action === "help") showHelp();
    else if (action === "guidelines") window.open("/guidelines", "boxwise-guidelines");
    else if (action === "leave") (document.activeElement === element("stage") ? button("toolEdit") : element("stage")).focus();
    else if (action === "name") this.rename();
    else if (action === "panel") button("panel").setAttribute("aria-expanded", String(document.body.classList.toggle("panel-open")));
  }

  async rename() {
    const known = this.editor.annotator, name = await askName(known);
    if (!name || name === known) return;
    rememberName(name);
    location.reload();
  }
}

function button(action) {
  return document.querySelector(`[role=toolbar] [data-action=${action}]`);
}

/** Each button says its key; a click does the action and gives the keyboard back to the image. */
function wireButtons(editor) {
  for (const control of document.querySelectorAll("[data-action]")) {
    const keys = control.dataset.action === "name" || !control.dataset.action ? [] : keysOf(control.dataset.action);
    if (keys.length) control.title = `${control.title || control.textContent.trim()} (${keys.join(" or ")})`;
  }
  document.addEventListener("click", (event) => {
    const control = event.target.closest("[data-action]");
    if (!control) return;
    if (event.detail) element("stage").focus({ preventScroll: true });
    if (control.id === "hint-offer") element("hint").hidden = true;
    editor.act({ action: control.dataset.action });
  });
}

function wireActivity(editor, page, study) {
  document.addEventListener("visibilitychange", () => document.hidden || editor.renew());
  setInterval(() => {
    editor.keepInHand();
    get("/api/progress").then((progress) => page.progress(progress), () => {});
  }, (study.lease_seconds * 1000) / 3);
  window.addEventListener("pagehide", () => editor.close());
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function wireOutbox(outbox, page, editor) {
  outbox.addEventListener("state", ({ detail }) => {
    element("saved").dataset.state = detail.state;
    element("saved").textContent = detail.words;
  });
  outbox.addEventListener("answered", ({ detail }) => page.answered(detail));
  outbox.addEventListener("undrafted", ({ detail }) => page.hint(detail.message, null, { lasting: true }));
  outbox.addEventListener("refused", () => page.refused(outbox));
  page.refused(outbox);
  outbox.addEventListener("lost", ({ detail }) => editor.lose(detail.imageId));
}

/** The image that the link asks for comes first, after a reload the one that was being labelled; otherwise the most valuable one is next. */
async function begin(editor, study, page) {
  await editor.outbox.settled(3000);
  editor.journal.dropTimesBefore(study.round);
  const drafts = editor.journal.drafts(editor.annotator);
  for (const draft of drafts.filter(({ round }) => round < study.round)) {
    editor.journal.dropDraft(editor.annotator, draft.image_id);
    page.hint(t`Your unfinished work on ${draft.image_id} was of round ${draft.round}, which is over.`, null, { lasting: true });
  }
  const wanted = new URLSearchParams(location.search).get("open");
  if (wanted !== null) history.replaceState(null, "", location.pathname); // a reload then means the image that is open
  if (wanted && await editor.open(wanted)) return;
  for (const draft of drafts.filter(({ round }) => round === study.round)) {
    if (await editor.open(draft.image_id, { quiet: true })) return; // what is open in another tab stays there
  }
  await editor.advance();
}

async function main() {
  translate(document.body);
  offerLanguages(element("language"));
  const study = await studyOf();
  const annotator = await annotatorOf(study), tab = await tabName(uuid());
  showPerson(annotator, study.member);
  const journal = new Journal(study.id ?? study.name);
  for (const former of study.former_ids ?? []) journal.takeOver(former);
  const outbox = new Outbox(journal, study.member?.name);
  const page = new Page(study, annotator), view = new View(element("stage"), study.classes);
  /** @type {Editor} */
  let editor = null;
  const gestures = new Gestures(view, {
    model: () => editor.model,
    select: (key) => editor.acts.select(key),
    draw: (xyxy) => editor.acts.draw(xyxy),
    place: (key, xyxy) => editor.acts.place(key, xyxy),
    point: (at) => wand.point(at),
    rough: (xyxy) => wand.rough(xyxy),
    hint: (words) => page.hint(words),
  });
  const queue = new Queue({ annotator, tab }, () => editor.holding(), study.classes.map(({ name }) => name));
  const presence = new Presence(() => annotator, { here: () => editor.touch(), away: () => editor.stopClock() });
  editor = new Editor({ study, annotator, tab, journal, outbox, queue, view, gestures, page, presence });
  const doubts = new Doubts(editor), scores = new Scores(editor), wand = new Wand(editor);
  editor.helpers = [doubts, scores, wand, new Looking(view)];
  const unflag = (imageId) => post("/api/unflags", { annotator, tab, image_id: imageId }).catch((error) => page.hint(error.message));
  page.wire({
    editor,
    doubts,
    scores,
    wand,
    list: new BoxList(element("boxes"), study.classes, (key) => editor.acts.select(key)),
    queuePanel: new QueuePanel({ open: (imageId) => editor.open(imageId), unflag }),
    waiting: new Waiting({ goOn: () => editor.advance({ byHand: false }), progress: (progress) => page.progress(progress) }),
  });
  page.tool(gestures.tool);
  showClasses(study.classes, (label) => editor.act({ action: "class", label }));
  markClass(0);
  wireButtons(editor);
  wireOutbox(outbox, page, editor);
  wireActivity(editor, page, study);
  listen((meant) => editor.act(meant), gestures);
  await begin(editor, study, page);
}

main();
