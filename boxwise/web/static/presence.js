// Whether the person is at this page: it is in sight, and they came to it, or did something in it, after any other of their windows.
// Windows side by side are all in sight, so each tells the others when the person comes to it.

const INPUT = ["pointermove", "pointerdown", "keydown", "wheel", "click", "input"];

export class Presence {
  #channel = new BroadcastChannel("boxwise/input");
  #last = false;

  /**
   * Who looks at the page by now is at it; one that was loaded out of sight waits until they come.
   * @param {() => string} name the person's: windows of others in the same browser are their own affair
   * @param {{here: () => void, away: () => void}} tell here: at each input; away: the page is out of sight, or they are at another window
   */
  constructor(name, { here, away }) {
    const came = () => {
      if (!this.#last) this.#channel.postMessage(name());
      this.#last = true;
    };
    const heard = () => {
      came();
      here();
    };
    for (const input of INPUT) document.addEventListener(input, heard, { passive: true, capture: true });
    window.addEventListener("focus", heard);
    document.addEventListener("visibilitychange", () => document.hidden && away());
    this.#channel.onmessage = ({ data }) => {
      if (data !== name()) return;
      this.#last = false;
      away();
    };
    if (!document.hidden && document.hasFocus()) came();
  }

  get here() { return this.#last && !document.hidden; }
}
