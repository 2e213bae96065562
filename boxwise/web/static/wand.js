// The model helps while a person draws: a click or a rough box becomes the tight box of what the study's detector has found there, also
// below every threshold. Picks among the detections of one image; whoever clicks answers for the box, so it counts as drawn.

import { get, inPath } from "./api.js";
import { isOpen } from "./boxes.js";
import { area, contains, iou } from "./geometry.js";
import { t } from "./words.js";

const ROUGH_IOU = 0.3; // of a rough box and the detection that it means
const SAME_IOU = 0.7; // of two boxes that mean one object
const FOLLOW_IOU = 0.2; // of an object in one image of a burst and in the next

export class Wand {
  #task = null;
  #found = null;

  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  /** A click: accepts the question under it, or draws the best detection under it. */
  async point([x, y]) {
    const found = await this.#detections();
    const under = found?.filter(({ xyxy }) => contains(xyxy, x, y)) ?? [];
    const open = this.editor.model.open().filter((box) => contains(box.xyxy, x, y)).sort((a, b) => area(a.xyxy) - area(b.xyxy))[0];
    const best = under.find((one) => !this.#known(one));
    if (open && (!best || open.score >= best.score)) return this.editor.gesture((model, seconds) => model.accept(open.key, seconds));
    return best ? this.#draw(best) : this.editor.page.hint(found?.length ? "The model has found nothing here: draw the box." : NOTHING);
  }

  /** A rough box: draws the detection that it means, or itself where there is none. */
  async rough(xyxy) {
    const found = await this.#detections() ?? [];
    const near = found.map((one) => ({ ...one, overlap: iou(one.xyxy, xyxy) })).filter((one) => one.overlap >= ROUGH_IOU && !this.#known(one));
    const best = near.sort((a, b) => b.overlap * b.score - a.overlap * a.score)[0];
    if (best) return this.#draw(best);
    this.editor.page.hint("The model has found nothing like it: the box is as you drew it.");
    return this.editor.acts.draw(xyxy);
  }

  /** The boxes of the image before, where the model finds them on this one: each the nearest detection of its class. */
  async follow() {
    const before = this.editor.acts.boxesBefore(), found = await this.#detections();
    if (!before || !found?.length) return this.editor.page.hint(before ? NOTHING : "No image with boxes was handed in before this one.");
    const pairs = before.flatMap((box) => found.filter(({ label }) => label === box.label).map((one) => [iou(box.xyxy, one.xyxy), box, one]));
    const taken = new Set(), placed = [];
    for (const [overlap, box, one] of pairs.sort((a, b) => b[0] - a[0])) {
      if (overlap < FOLLOW_IOU || taken.has(box) || taken.has(one)) continue;
      taken.add(box).add(one);
      placed.push({ ...box, xyxy: one.xyxy });
    }
    const count = this.editor.gesture((model, seconds) => model.drawAll(placed, seconds));
    return this.editor.page.hint(t`${count || 0} of ${before.length} boxes found again.`);
  }

  #draw({ xyxy, label }) {
    const { acts } = this.editor, wanted = acts.sticky ? acts.label : label;
    const key = this.editor.gesture((model, seconds) => model.draw(xyxy, wanted, seconds));
    if (key) acts.select(acts.sticky ? null : key);
  }

  /** Whether a person's box, or one that the model is certain of, is there already. */
  #known({ xyxy }) {
    return this.editor.model.boxes.some((box) => box.answer !== "delete" && !isOpen(box) && iou(box.xyxy, xyxy) >= SAME_IOU);
  }

  /** Fetched once an image; null where the server does not answer or another image is there by then. */
  async #detections() {
    const { task } = this.editor.current;
    if (this.#task !== task) {
      const found = await get(`/api/found/${inPath(task.image_id)}`).catch(() => null);
      if (found === null || this.editor.current?.task !== task) return null;
      [this.#task, this.#found] = [task, found];
    }
    return this.#found;
  }
}

const NOTHING = "The model has not looked at this image yet: draw the box.";
