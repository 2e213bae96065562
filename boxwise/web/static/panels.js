// The quiet parts of the page: progress and pace in the header, why the image was chosen, the classes, the round's queue.
// Shows what it is given; asks the server for the queue alone, and only while that is open.

import { get, thumbnail } from "./api.js";
import { element, html, nameOf, swatch } from "./dom.js";
import { amount, fixed, significant } from "./figures.js";
import { classKey } from "./keys.js";
import { t } from "./words.js";

const TERMS = {
  L_rec: "Unfamiliar (L_rec)",
  L_det: "Detector unsure (L_det)",
  reconstruction: "Reconstruction error",
  complexity: "Complexity",
};
const STATES = { waiting: "waiting", leased: "in hand", answered: "answered", flagged: "flagged", unusable: "out of use" };
const AROUND = 40;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far the round is. */
export function showProgress({ round, asked, answered }) {
  element("round").textContent = t`Round ${round}`;
  element("counts").textContent = t`${amount(answered)} of ${amount(asked)} answered`;
  element("progress").max = Math.max(asked, 1);
  element("progress").value = answered;
}

/** Why the study does not go on by itself, and what to do about it. */
export function showTrouble({ trouble, goes_on_by: command }) {
  const words = trouble ? t`Training has stopped: ${trouble}` : "";
  if (element("trouble-words").textContent !== words) element("trouble-words").textContent = words;
  element("trouble-command").textContent = command;
  element("trouble").hidden = !trouble;
}

/** Why an answer is refused that is about what is there no more: sent again it would be so again. */
const OVERTAKEN = ["question_withdrawn", "question_changed", "labels_changed", "class_is_gone"];

/**
 * What the server refused for good, until somebody decides about it.
 * @param {readonly import("./journal.js").PendingRequest[]} requests
 * @param {{annotator: string, repost: (request: object) => void, takeUp: (request: object) => void, discard: (request: object) => void}} acts
 *   annotator: who is here, and may take up what is theirs
 */
export function showRefused(requests, { annotator, repost, takeUp, discard }) {
  const rows = requests.map((request) => {
    const row = html("li"), words = t`${request.body.image_id} was not taken: ${request.refused} It is kept in this browser.`;
    const isOvertaken = OVERTAKEN.includes(request.code) && request.path === "/api/answers" && request.body.annotator === annotator;
    const again = isOvertaken ? buttonFor(t("Open it with my boxes"), () => takeUp(request)) : buttonFor(t("Send again"), () => repost(request));
    row.append(html("span", {}, words), again, buttonFor(t("Discard"), () => discard(request)));
    return row;
  });
  element("refused").querySelector("ul").replaceChildren(...rows);
  element("refused").hidden = !rows.length;
}

function buttonFor(words, done) {
  const button = html("button", { type: "button" }, words);
  button.addEventListener("click", done);
  return button;
}

/** How fast the person is, this session. @param {number[]} seconds of each image handed in */
export function showPace(seconds) {
  element("session").textContent = seconds.length ? t`This session: ${amount(seconds.length)}, ` : "";
  element("pace").textContent = seconds.length ? t`median ${fixed(median(seconds), 1)} s` : "";
}

/** Which image this is and why it was chosen. */
export function showWhy(task, asked) {
  element("image-name").textContent = task.image_id;
  const place = task.rank === null ? t("Opened again") : t`Number ${amount(task.rank + 1)} of ${amount(asked)}`;
  const purpose = task.split === "train" ? "" : ` · ${task.split === "val" ? t("for validation") : task.split}`;
  const scope = task.whole ? "" : ` · ${t("questions only, nothing to draw")}`;
  element("image-place").textContent = `${place}${purpose}${scope} · ${task.width} × ${task.height}`;
  const terms = Object.entries(task.terms ?? {}), largest = Math.max(...terms.map(([, value]) => Math.abs(value)), 1e-12);
  const utility = task.utility === null || task.utility === undefined ? [] : [whyRow(t("Utility"), task.utility, 0)];
  element("terms").replaceChildren(...utility.flat(), ...terms.flatMap(([name, value]) => whyRow(t(TERMS[name] ?? name), value, Math.abs(value) / largest)));
  element("why-none").textContent = utility.length
    ? t("No score: utility is what the strategy ranks by.")
    : t("No utility: drawn at random, wanted by a person, or opened again.");
  element("why-none").hidden = terms.length > 0;
}

function whyRow(name, value, share) {
  const bar = html("dd", { class: "bar" }), fill = html("i", value < 0 ? { class: "minus" } : {});
  fill.style.width = `${Math.round(share * 100)}%`;
  if (share) bar.append(fill);
  return [html("dt", {}, name), bar, html("dd", { class: "value" }, significant(value))];
}

/** The classes as buttons; their numbers are their keys. */
export function showClasses(classes, pick) {
  const buttons = classes.map(({ name, color }, label) => {
    const button = html("button", { type: "button", class: "class" }, swatch(color), nameOf(name), html("kbd", {}, classKey(label)));
    button.addEventListener("click", () => pick(label));
    return button;
  });
  element("classes").replaceChildren(...buttons);
}

/** Marks the class that drawn boxes get. */
export function markClass(label) {
  [...element("classes").children].forEach((button, index) => button.setAttribute("aria-pressed", String(index === label)));
}

/** The round's queue, most valuable first; of a long one the part around the image in hand. */
export class QueuePanel {
  /** @param {{open: (imageId: string) => void, unflag: (imageId: string) => Promise<void>}} acts */
  constructor({ open, unflag }) {
    this.open = open;
    this.unflag = unflag;
    this.shown = null;
    element("queue").addEventListener("toggle", () => this.refresh());
  }

  async refresh(imageId = this.shown) {
    this.shown = imageId;
    if (!element("queue").open) return;
    const { items } = await get("/api/queue").catch(() => ({ items: [] }));
    const at = Math.max(0, items.findIndex((item) => item.image_id === imageId));
    const first = Math.max(0, at - AROUND / 4), part = items.slice(first, first + AROUND);
    const rows = part.map((item) => this.#row(item));
    if (first) rows.unshift(html("li", { class: "more" }, t`${amount(first)} before these`));
    if (first + part.length < items.length) rows.push(html("li", { class: "more" }, t`${amount(items.length - first - part.length)} more`));
    element("queue-list").replaceChildren(...rows);
  }

  #row(item) {
    const picture = new Image(44, 33);
    const asked = item.asked === null || item.asked === "image" ? "" : ` · ${item.asked === 1 ? t("one box") : t`${item.asked} boxes`}`;
    const state = item.state === "leased" && item.by ? t`with ${item.by}` : t(STATES[item.state] ?? item.state);
    Object.assign(picture, { loading: "lazy", alt: "", src: thumbnail(item.image_id) });
    const utility = item.utility === null ? "" : ` · ${significant(item.utility)}`;
    const words = html("span", { class: "words" }, nameOf(item.image_id), html("span", { class: "state" }, state + utility + asked));
    const rank = html("span", { class: "rank" }, amount(item.rank + 1));
    const button = html("button", { type: "button", class: `queued ${item.state}` }, rank, picture, words);
    if (item.fault) button.title = item.fault;
    if (item.image_id === this.shown) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.open(item.image_id));
    const row = html("li", {}, button);
    if (item.state === "flagged") row.append(buttonFor(t("Unflag"), () => this.unflag(item.image_id).then(() => this.refresh())));
    return row;
  }
}
