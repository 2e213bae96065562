// The models help while a person draws: a click or a rough box becomes the tight box of what the study's detector has found there, also
// below every threshold, or of what SAM 2 sees there. Whoever clicks answers for the box, so it counts as drawn.

import { get, inPath, MODELS_MS, post } from "./api.js";
import { isOpen } from "./boxes.js";
import { area, contains, iou } from "./geometry.js";
import { t } from "./words.js";

const ROUGH_IOU = 0.3; // of a rough box and the detection that it means
const SAME_IOU = 0.7; // of two boxes that mean one object
const SOON_MS = 600; // a person who waits for longer is told for what
const FOLLOW_IOU = 0.2; // of an object in one image of a burst and in the next

export class Wand {
  #task = null;
  #found = null;

  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  /** An image is shown: SAM 2 looks at it, and at the next one, before anybody clicks. */
  prepare({ image_id: imageId }) {
    if (this.#segments) post("/api/embeddings", { image_ids: [imageId, ...this.editor.queue.ahead.slice(0, 1)] }).catch(() => {});
  }

  get #segments() { return this.editor.study.assist === "sam2"; }

  /** A click: accepts the question under it, or draws what SAM 2 sees there, or the best detection under it. */
  async point([x, y]) {
    const found = await this.#detections();
    const under = found?.filter(({ xyxy }) => contains(xyxy, x, y)) ?? [];
    const open = this.editor.model.open().filter((box) => contains(box.xyxy, x, y)).sort((a, b) => area(a.xyxy) - area(b.xyxy))[0];
    const seen = open ? null : await this.#segmented({ point: [x, y] }, found);
    if (seen) return this.#draw(seen);
    const best = under.find((one) => !this.#known(one));
    if (open && (!best || open.score >= best.score)) return this.editor.gesture((model, seconds) => model.accept(open.key, seconds));
    return best ? this.#draw(best) : this.editor.page.hint(found?.length ? "The model has found nothing here: draw the box." : NOTHING);
  }

  /** A rough box: draws what SAM 2 sees in it, or the detection that it means, or itself where there is none. */
  async rough(xyxy) {
    const found = await this.#detections() ?? [];
    const seen = await this.#segmented({ rough: xyxy }, found);
    if (seen) return this.#draw(seen);
    const near = found.map((one) => ({ ...one, overlap: iou(one.xyxy, xyxy) })).filter((one) => one.overlap >= ROUGH_IOU && !this.#known(one));
    const best = near.sort((a, b) => b.overlap * b.score - a.overlap * a.score)[0];
    if (best) return this.#draw(best);
    this.editor.page.hint("The model has found nothing like it: the box is as you drew it.");
    return this.editor.acts.draw(xyxy);
  }

  /** What SAM 2 sees, with the class of the detection that it overlaps most; null where it is not asked or sees nothing new. */
  async #segmented(prompt, found) {
    if (!this.#segments) return null;
    const { task } = this.editor.current;
    const { box } = await this.#computed("/api/box", { image_id: task.image_id, ...prompt }).catch((error) => {
      this.editor.page.hint(error.message);
      return { box: null };
    });
    if (!box || this.editor.current?.task !== task || this.#known(box)) return null;
    const near = (found ?? []).map((one) => [iou(one.xyxy, box.xyxy), one.label]).sort((a, b) => b[0] - a[0])[0];
    return { ...box, label: near?.[0] >= ROUGH_IOU ? near[1] : this.editor.acts.label };
  }

  /** The boxes of the image before, where the model finds them on this one: by what is inside of them, else by overlap. */
  async follow() {
    const before = this.editor.acts.boxesBefore();
    if (!before) return this.editor.page.hint("No image with boxes was handed in before this one.");
    const { task } = this.editor.current, placed = await this.#followed(before) ?? await this.#overlapping(before);
    if (this.editor.current?.task !== task) return undefined;
    if (!placed) return this.editor.page.hint(NOTHING);
    const count = this.editor.gesture((model, seconds) => model.drawAll(placed, seconds));
    return this.editor.page.hint(t`${count || 0} of ${before.length} boxes found again.`);
  }

  /** What a model of the server's computes. Raises ApiError. */
  #computed(path, body) {
    const saying = setTimeout(() => this.editor.page.hint("The model is looking; the first time it is loaded."), SOON_MS);
    return post(path, body, { patience: MODELS_MS }).finally(() => clearTimeout(saying));
  }

  /** By the embeddings of the study's detector; null where it has none. */
  async #followed(boxes) {
    const { image_id: imageId } = this.editor.current.task, { image_id: before } = this.editor.acts.imageBefore();
    const body = { image_id: imageId, before, boxes: boxes.map(({ xyxy, label }) => ({ xyxy, label })) };
    const reply = await this.#computed("/api/follow", body).catch(() => ({ boxes: null }));
    return reply.boxes?.map(({ row, xyxy }) => ({ ...boxes[row], xyxy })) ?? null;
  }

  /** Each the detection of its class that overlaps it most; null where the model has found nothing on the image. */
  async #overlapping(before) {
    const found = await this.#detections();
    if (!found?.length) return null;
    const pairs = before.flatMap((box) => found.filter(({ label }) => label === box.label).map((one) => [iou(box.xyxy, one.xyxy), box, one]));
    const taken = new Set(), placed = [];
    for (const [overlap, box, one] of pairs.sort((a, b) => b[0] - a[0])) {
      if (overlap < FOLLOW_IOU || taken.has(box) || taken.has(one)) continue;
      taken.add(box).add(one);
      placed.push({ ...box, xyxy: one.xyxy });
    }
    return placed;
  }

  #draw({ xyxy, label }) {
    const { acts } = this.editor;
    acts.draw(xyxy, acts.sticky ? acts.label : label);
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
