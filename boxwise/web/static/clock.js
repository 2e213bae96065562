// Seconds that a person really spends on an image. Pure: the caller says what time it is, in milliseconds of any steady clock.
// The clock runs for 20 seconds after each input (pointer, key, wheel) and then stops until the next: looking and thinking count, an
// absence costs 20 seconds at most, once. A page out of sight stops it at once, and so does an input to another window of the person's.

/** For how long after the last input a person is taken to be still looking; seconds. */
export const PATIENCE = 20;

export class ActiveClock {
  #spent;
  #alive = null; // when the last input was; null: stopped
  #lap;

  /** @param {number} spent seconds already spent, on an image taken up again */
  constructor(spent = 0) {
    this.#spent = this.#lap = spent;
  }

  /** A sign of life. */
  touch(now) {
    this.#spent = this.seconds(now);
    this.#alive = now;
  }

  /** The page is out of sight, or the image is put aside. */
  stop(now) {
    this.#spent = this.seconds(now);
    this.#alive = null;
  }

  /** Counts seconds that were spent before. */
  add(seconds) {
    this.#spent += seconds;
    this.#lap += seconds;
  }

  /** Seconds spent so far. */
  seconds(now) {
    const since = this.#alive === null ? 0 : (now - this.#alive) / 1000;
    return this.#spent + Math.min(Math.max(since, 0), PATIENCE);
  }

  /** Seconds spent since the last finished gesture. */
  sinceLap(now) {
    return this.seconds(now) - this.#lap;
  }

  /** A gesture is finished: the time until the next belongs to the next. */
  lap(now) {
    this.#lap = this.seconds(now);
  }
}
