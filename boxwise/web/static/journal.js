// What the browser keeps until the server has it: the drafts of images in hand, requests (answers, skips) not yet acknowledged, and the
// seconds spent on images that were left. Lives in localStorage, one entry each, so that two tabs never overwrite each other. Sends nothing.

/**
 * @typedef {{annotator: string, image_id: string, round: number, revision: number, saved: number, document: object, at: number}} Draft
 *   revision: of the last gesture; saved: the revision the server has made durable
 * @typedef {{key: string, path: string, body: object, at: number, refused: string, code?: string, document?: object}} PendingRequest
 *   refused: the server's reason, "" while unsent; code: of that reason; document: of an answer, as a draft keeps it: the boxes that the
 *   person had before them, should these be others by the time it comes
 * @typedef {{annotator: string, image_id: string, round: number, revision: number, seconds: number}} Time
 *   seconds: all that the draft of this revision took so far, also since its last gesture; revision 0: the image was only looked at
 */

/** Keys of pending requests; browsers hold some under this name. */
const REQUEST = "letter/";
const DRAFT = "draft/";
const TIME = "time/";

export class Journal {
  #prefix;
  #memory = new Map(); // what a full or forbidden storage did not take

  /** @param {string} study the study's identity, so that two studies, or two copies of one, served in turn at one address do not mix */
  constructor(study) {
    this.#prefix = `boxwise/${study}/`;
  }

  /** Whether everything kept would outlive the tab. */
  get durable() { return this.#memory.size === 0; }

  /** @param {Draft} draft */
  keepDraft(draft) { this.#write(placeOf(DRAFT, draft.annotator, draft.image_id), draft); }
  draft(annotator, imageId) { return this.#read(placeOf(DRAFT, annotator, imageId)); }
  dropDraft(annotator, imageId) { this.#remove(placeOf(DRAFT, annotator, imageId)); }

  /** A person's drafts, the one last touched first. @returns {Draft[]} */
  drafts(annotator) {
    return this.#all(DRAFT).filter((draft) => draft.annotator === annotator).sort((a, b) => b.at - a.at);
  }

  /** @param {Time} time */
  keepTime(time) { this.#write(placeOf(TIME, time.annotator, time.image_id), time); }
  dropTime(annotator, imageId) { this.#remove(placeOf(TIME, annotator, imageId)); }

  /** The seconds that a person has spent on an image, where nothing was done to it since they left it; else null. */
  seconds(annotator, imageId, { round, revision }) {
    const time = this.#read(placeOf(TIME, annotator, imageId));
    return time?.round === round && time.revision === revision ? time.seconds : null;
  }

  /** Forgets the times of rounds that are over. */
  dropTimesBefore(round) {
    for (const time of this.#all(TIME)) if (time.round < round) this.dropTime(time.annotator, time.image_id);
  }

  /** @param {PendingRequest} request */
  keepRequest(request) { this.#write(REQUEST + request.key, request); }
  dropRequest(key) { this.#remove(REQUEST + key); }

  /** Requests that the server has not acknowledged, in the order they were written. @returns {PendingRequest[]} */
  requests() { return this.#all(REQUEST).sort((a, b) => a.at - b.at); }

  /** Takes over what is kept under another identity of the study: that of a folder from which it was moved. */
  takeOver(study) {
    const before = `boxwise/${study}/`;
    for (const key of storedKeys()) {
      const name = key.slice(before.length), own = this.#prefix + name;
      const isKept = key.startsWith(before) && [DRAFT, REQUEST, TIME].some((kind) => name.startsWith(kind));
      if (!isKept || localStorage.getItem(own) !== null) continue;
      try {
        localStorage.setItem(own, localStorage.getItem(key));
        localStorage.removeItem(key);
      } catch { /* storage is full: it stays where it is */ }
    }
  }

  #write(key, value) {
    try {
      localStorage.setItem(this.#prefix + key, JSON.stringify(value));
      this.#memory.delete(key);
    } catch {
      this.#memory.set(key, value);
    }
  }

  #remove(key) {
    this.#memory.delete(key);
    try {
      localStorage.removeItem(this.#prefix + key);
    } catch { /* storage is forbidden: nothing was kept there */ }
  }

  #read(key) {
    if (this.#memory.has(key)) return this.#memory.get(key);
    try {
      return JSON.parse(localStorage.getItem(this.#prefix + key));
    } catch {
      return null;
    }
  }

  #all(kind) {
    const stored = storedKeys().filter((key) => key.startsWith(this.#prefix + kind)).map((key) => key.slice(this.#prefix.length));
    const keys = new Set([...stored, ...[...this.#memory.keys()].filter((key) => key.startsWith(kind))]);
    return [...keys].map((key) => this.#read(key)).filter((value) => value !== null);
  }
}

function placeOf(kind, annotator, imageId) {
  return `${kind}${JSON.stringify([annotator, imageId])}`;
}

function storedKeys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}
