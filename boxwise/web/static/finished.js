// What this tab has handed in, skipped or flagged, newest last: for going back and for taking back. Lives in sessionStorage, so that it
// survives a reload. Knows nothing of servers or boxes.

import { remember, remembered } from "./tabs.js";

const MOST = 50;
const MOST_BOXES = 10_000; // of the newest ones the work is kept, for taking back and for copying: some megabytes, as browsers keep them

/**
 * @typedef {{kind: "answer" | "skip" | "flag", image_id: string, round: number, key: string, revision: number, seconds: number,
 *   document: object | null}} Entry
 *   key: of the request that was sent; seconds: that it said; document: the boxes as a draft keeps them;
 *   null where they are too many to keep
 */

export class Finished {
  /** @param {string} key of the storage */
  constructor(key) {
    this.key = key;
    const kept = remembered("sessionStorage", key, []);
    this.entries = Array.isArray(kept) ? kept.filter((entry) => typeof entry?.image_id === "string") : [];
  }

  /** @returns {Entry | undefined} */
  get last() { return this.entries.at(-1); }

  /** @param {Entry} entry */
  push(entry) {
    const others = this.entries.filter(({ image_id }) => image_id !== entry.image_id);
    let left = MOST_BOXES;
    const newest = [entry, ...others.slice(1 - MOST).reverse()].map((one) => {
      left -= one.document?.boxes.length ?? 0;
      return left < 0 ? { ...one, document: null } : one;
    });
    this.#keep(newest.reverse());
  }

  /** The newest one, which is forgotten. @returns {Entry | undefined} */
  pop() {
    const last = this.last;
    this.#keep(this.entries.slice(0, -1));
    return last;
  }

  #keep(entries) {
    this.entries = entries;
    remember("sessionStorage", this.key, entries);
  }
}
