// Whether the person is at this page: it is in sight, and their last input was to it and to none of their other windows.
// Windows side by side are all in sight, so each tells the others of the first input that comes to it after one to them.

const INPUT = ["pointermove", "pointerdown", "keydown", "wheel", "click", "input"];

export class Presence {
  #channel = new BroadcastChannel("boxwise/input");
  #last = false;

  /**
   * @param {() => string} name the person's: windows of others in the same browser are their own affair
   * @param {{here: () => void, away: () => void}} tell here: at each input; away: the page is out of sight, or they are at another window
   */
  constructor(name, { here, away }) {
    const heard = () => {
      if (!this.#last) this.#channel.postMessage(name());
      this.#last = true;
      here();
    };
    for (const input of INPUT) document.addEventListener(input, heard, { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => document.hidden && away());
    this.#channel.onmessage = ({ data }) => {
      if (data !== name()) return;
      this.#last = false;
      away();
    };
  }

  get here() { return this.#last && !document.hidden; }
}
