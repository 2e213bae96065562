// The images in a person's hands: the one shown, and the next ones fetched and decoded ahead so that a switch costs no waiting.
// Asks the server for tasks, renews and releases what is held. Knows nothing of boxes, gestures or the page.

import { get, mayPass, post, uuid } from "./api.js";

/** How many images are held ready beyond the one shown. */
const AHEAD = 3;
/** After so many requests for the next image, others wait for the next time. */
const MOST_TURNS = 2 * AHEAD;
/** For how long a picture is waited for that has not come at once; milliseconds. */
const PICTURE_MS = 60_000;
/** How many images a request may name. */
const MOST_NAMED = 50;

/**
 * @typedef {{task: object, image: HTMLImageElement, fault: "" | "late" | "unreadable"}} Prepared fault: why there is no picture to see;
 *   "late": it has not come and may come yet; "unreadable": it is none that the browser could show
 */

export class Queue {
  #ahead = [];
  #line = Promise.resolve(); // one request for a next image at a time, or two would be handed the same
  #asked = 0;
  #era = 0;
  #over = new Set(); // images that were handed in or given back since the request under way was sent
  #visit = uuid(); // a page that comes back out of the browser's memory is another visit

  /**
   * @param {{annotator: string, tab: string}} who
   * @param {() => string[]} holding images that must not be handed out again: the one shown, and those whose answers are on their way
   * @param {string[]} classes the names that the page shows; where the study has others by now, the page is loaded anew
   */
  constructor(who, holding, classes) {
    this.who = who;
    this.classes = classes;
    this.holding = holding;
  }

  /** The ids of the images fetched ahead, the next one first. */
  get ahead() { return this.#ids(); }

  /** The next image, or the server's reason why there is none. Raises ApiError. @returns {Promise<Prepared | {reason: string}>} */
  async take() {
    let reason = "";
    for (let turn = 0; turn < MOST_TURNS && !this.#ahead.length && !reason; turn++) reason = await this.#ask();
    return this.#ahead.shift() ?? { reason: reason || "leased" };
  }

  /** Fetches ahead, in the background; failures wait for `take` to meet them. */
  async fill() {
    for (let turn = 0; turn < MOST_TURNS && this.#ahead.length + this.#asked < AHEAD; turn++) {
      if (await this.#ask().catch(() => "offline")) return;
    }
  }

  /** An image was handed in or put off: a request that was sent before may still bring it, as it was. */
  finished(imageId) { this.#over.add(imageId); }

  /**
   * An image of the person's own choice. Raises ApiError, 409 where somebody else has it.
   * @param {{anew?: boolean, said?: string[]}} [how] anew: as it is by now, also where it was fetched ahead; said: the classes that labels
   *   are numbers of which are to be put on it
   * @returns {Promise<Prepared & {labels?: (number | null)[]}>} labels: of `said`, what they are by now; null: that class is gone
   */
  async open(imageId, { anew = false, said } = {}) {
    const at = this.#ahead.findIndex(({ task }) => task.image_id === imageId), [held] = at >= 0 ? this.#ahead.splice(at, 1) : [];
    if (held && !anew) return held;
    const { task, classes, labels } = await post("/api/open", { ...this.who, visit: this.#visit, image_id: imageId, classes: said });
    await this.#reloadUnless(classes);
    return { ...(await withPicture(task)), labels };
  }

  /** The next image of the round, after `task`, that waits for answers to questions; null where there is none. Raises ApiError. */
  async uncertain({ image_id: imageId }) {
    const { items } = await get("/api/queue"), at = items.findIndex((item) => item.image_id === imageId);
    const after = [...items.slice(at + 1), ...items.slice(0, Math.max(at, 0))];
    return after.find((item) => item.open && (item.state === "waiting" || (item.state === "leased" && this.#ids().includes(item.image_id))))?.image_id ?? null;
  }

  /** Puts an image aside; it is the next to be taken. */
  putAside(next) {
    this.#ahead.unshift(next);
  }

  /**
   * Tells the server that the images are still in hand. Raises ApiError.
   * @param {{image_id: string, begun_on: number | null}[]} shown begun_on: number of the labels that the work on it began with
   * @returns {Promise<string[]>} those that were lost to others
   */
  async renew(shown) {
    const lost = [];
    for (const part of inParts([...shown, ...this.#ahead.map(({ task }) => task)])) {
      const begun = part.filter(({ begun_on: number }) => number !== null).map((one) => [one.image_id, one.begun_on]);
      const body = { image_ids: part.map((one) => one.image_id), begun_on: Object.fromEntries(begun) };
      lost.push(...(await post("/api/renew", { ...this.who, ...body })).lost);
    }
    this.#ahead = this.#ahead.filter(({ task }) => !lost.includes(task.image_id));
    return lost;
  }

  /** Gives back the images fetched ahead to which nothing was done. @param {(imageId: string) => boolean} touched */
  release(touched) {
    const images = this.#ids().filter((imageId) => !touched(imageId));
    this.#ahead = this.#ahead.filter(({ task }) => touched(task.image_id));
    this.#era++;
    this.giveBack(images);
  }

  /** Gives one image back at once, whose answer is to be a late one. Raises ApiError. */
  async letGo(imageId) { await post("/api/release", { ...this.who, image_ids: [imageId] }); }

  /** Gives back images that are in hand and not fetched ahead: one that was only looked at. */
  giveBack(images) {
    for (const imageId of images) this.#over.add(imageId);
    const give = () => Promise.all(inParts(images).map((part) => post("/api/release", { ...this.who, image_ids: part })));
    this.#line = this.#line.then(give).catch(() => {}); // before the next request, which might be handed one of them
  }

  /** The page is going away: gives back all but `keep`, also what the server is about to hand out. */
  close(keep) {
    this.#ahead = [];
    this.#era++;
    post("/api/close", { ...this.who, visit: this.#visit, keep: named(keep) }, { last: true }).catch(() => {});
    this.#visit = uuid();
  }

  #ids() { return this.#ahead.map(({ task }) => task.image_id); }

  #ask() {
    this.#asked++;
    const asking = this.#line.then(() => this.#fetch()).finally(() => { this.#asked--; });
    this.#line = asking.catch(() => {});
    return asking;
  }

  /** Classes are changed while nobody has an image in hand, so nothing is lost by it; it comes back only where they are the page's. */
  #reloadUnless(classes) {
    if (classes.join("\n") === this.classes.join("\n")) return null;
    location.reload();
    return new Promise(() => {});
  }

  async #fetch() {
    const era = this.#era;
    this.#over.clear();
    const { task, reason, classes } = await post("/api/next", { ...this.who, visit: this.#visit, keep: named([...this.holding(), ...this.#ids()]) });
    if (!task) return reason ?? "answered";
    await this.#reloadUnless(classes);
    const next = await withPicture(task);
    if (era !== this.#era) post("/api/release", { ...this.who, image_ids: [task.image_id] }).catch(() => {});
    else if (![...this.holding(), ...this.#ids(), ...this.#over].includes(task.image_id)) this.#ahead.push(next);
    return "";
  }
}

/** As many images as a request may name, each once: the last ones, those in hand among them. */
function named(imageIds) {
  return [...new Set(imageIds)].slice(-MOST_NAMED);
}

/** The images in lists that a request may name. */
function inParts(images) {
  const count = Math.ceil(images.length / MOST_NAMED);
  return Array.from({ length: count }, (_, part) => images.slice(part * MOST_NAMED, (part + 1) * MOST_NAMED));
}

/** A task with its picture, decoded. @returns {Promise<Prepared>} */
export async function withPicture(task) {
  const image = new Image(task.width, task.height);
  image.alt = "";
  image.draggable = false;
  return { task, image, fault: await faultOf(image, task.url) };
}

/** Loads a picture; why it cannot be seen. The browser says no more than that it failed, so the file is asked for once more, by itself. */
async function faultOf(image, url) {
  if (await shows(image, url)) return "";
  const response = await fetch(url, { signal: AbortSignal.timeout(PICTURE_MS) }).catch(() => null);
  if (!response?.ok) return mayPass(response?.status ?? 0) ? "late" : "unreadable";
  const file = await response.blob().catch(() => null);
  if (!file) return "late";
  const local = URL.createObjectURL(file), seen = await shows(image, local);
  URL.revokeObjectURL(local);
  return seen ? "" : "unreadable";
}

function shows(image, url) {
  image.src = url;
  return image.decode().then(() => true, () => false);
}
