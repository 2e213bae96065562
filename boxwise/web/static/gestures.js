// Pointer gestures on the stage, with mouse, pen and fingers: draw, extreme clicking, move, resize, pan, pinch, wheel.
// Turns them into calls of select, draw and place; shows them on the view while they last. Changes no box itself.

import { statusOf } from "./boxes.js";
import { around, contains, handleAt, moved, onOutline, resized, smallestAt } from "./geometry.js";
import { t } from "./words.js";

const CURSORS = { "-1-1": "nwse-resize", "11": "nwse-resize", "1-1": "nesw-resize", "-11": "nesw-resize", "0-1": "ns-resize", "01": "ns-resize" };
const EXTREMES = ["Now the top-most.", "Now the left-most.", "Now the bottom-most.", "Now the right-most."];

export class Gestures {
  /** @type {"edit" | "draw" | "extreme" | "model"} */
  #tool = "edit";
  #fingers = new Map(); // pointer id → place on the stage
  #gesture = null;
  #spaceHeld = false;
  #spacePanned = false;

  /**
   * @param {import("./view.js").View} view
   * @param {{model: () => import("./boxes.js").BoxModel | null, select: (key: string | null) => void, draw: (xyxy: number[]) => void, point: (at: number[]) => void, rough: (xyxy: number[]) => void,
   *   place: (key: string, xyxy: number[]) => void, hint: (words: string) => void}} page
   */
  constructor(view, page) {
    this.view = view;
    this.page = page;
    const stage = view.stage;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    stage.addEventListener("pointerup", (event) => this.#up(event));
    stage.addEventListener("pointercancel", (event) => this.#pointerLeft(event));
    stage.addEventListener("pointerleave", () => this.#away());
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("auxclick", (event) => event.preventDefault());
  }

  get tool() { return this.#tool; }
  set tool(tool) {
    this.cancel();
    this.#tool = tool;
    this.view.stage.dataset.tool = tool;
    this.#cross(null);
  }

  /** Whether a gesture was in progress, which is now undone. */
  cancel() {
    const busy = this.#gesture !== null || this.view.points.length > 0;
    this.#gesture = null;
    Object.assign(this.view, { rubber: null, preview: null, points: [] });
    this.view.invalidate();
    return busy;
  }

  /** The space bar: while it is held, a drag pans. */
  holding(held) {
    if (held) this.#spacePanned = false;
    this.#spaceHeld = held;
    this.view.stage.classList.toggle("panning", held);
  }
  panned() { return this.#spacePanned; }

  #down(event) {
    const model = this.page.model(), at = this.view.at(event);
    if (!model || event.target.closest("button")) return;
    this.view.stage.focus({ preventScroll: true });
    if (event.button > 1) return; // not captured: where it is let go may be unknown, as over the browser's own menu
    this.#fingers.set(event.pointerId, at);
    if (this.#fingers.size > 1) return this.#pinch();
    event.preventDefault();
    this.view.stage.setPointerCapture(event.pointerId);
    const slack = event.pointerType === "mouse" ? 3 : 8, reach = event.pointerType === "mouse" ? 9 : 22;
    this.#gesture = { ...this.#beginning(event, model, at, reach), from: at, at, slack, live: false };
    this.view.stage.classList.toggle("panning", this.#gesture.kind === "pan");
  }

  /** What a press at this place may become. */
  #beginning(event, model, at, reach) {
    if (event.button === 1 || this.#spaceHeld) return { kind: "pan" };
    if (this.#tool !== "edit" && model.whole) return { kind: this.#tool };
    const held = this.#held(at, reach);
    if (held) return held;
    return { kind: model.whole ? "draw" : "pan" };
  }

  /**
   * The grip that a box offers at a place of the stage: the selected box its handles and its outline, a person's own box also its inside.
   * The inside of a model's box is no grip: whoever drags there draws what the model has missed or got wrong, and answers nothing.
   */
  #held(at, reach) {
    const model = this.page.model(), box = this.view.selected && model?.find(this.view.selected);
    if (box && model.editable(box) && box.answer !== "delete") {
      const outline = this.view.toStage(box.xyxy), handle = handleAt(outline, ...at, reach);
      if (handle) return { kind: "resize", box, handle };
      if (isPersons(box) ? contains(outline, ...at) : onOutline(outline, ...at, reach / 2)) return { kind: "move", box };
    }
    const under = model && smallestAt(this.view.visible(), ...this.view.toImage(at));
    return under && model.editable(under) && isPersons(under) ? { kind: "move", box: under } : null;
  }

  #move(event) {
    const at = this.view.at(event);
    if (this.#fingers.has(event.pointerId)) {
      if (this.#gesture?.kind === "pinch") return this.#pinched(event.pointerId, at);
      this.#fingers.set(event.pointerId, at);
    }
    const gesture = this.#gesture;
    if (!gesture) return this.#hover(event, at);
    gesture.live ||= Math.hypot(at[0] - gesture.from[0], at[1] - gesture.from[1]) > gesture.slack;
    if (gesture.live) this.#live(gesture, at);
    gesture.at = at;
    if (["draw", "extreme", "model"].includes(gesture.kind)) this.#cross(event.pointerType === "touch" ? null : at);
  }

  #live(gesture, at) {
    const [dx, dy] = [at[0] - gesture.from[0], at[1] - gesture.from[1]].map((side) => side / this.view.scale);
    if (gesture.kind === "pan") {
      this.#spacePanned = true;
      this.view.pan(at[0] - gesture.at[0], at[1] - gesture.at[1]);
    } else if (gesture.kind === "draw" || gesture.kind === "model") {
      this.view.rubber = around([this.view.toImage(gesture.from), this.view.toImage(at)]);
    } else if (gesture.kind === "move") {
      if (this.view.selected !== gesture.box.key) this.page.select(gesture.box.key);
      this.view.preview = { key: gesture.box.key, xyxy: moved(gesture.box.xyxy, dx, dy, this.page.model().size) };
    } else if (gesture.kind === "resize") {
      this.view.preview = { key: gesture.box.key, xyxy: resized(gesture.box.xyxy, gesture.handle, dx, dy) };
    }
    this.view.invalidate();
  }

  #up(event) {
    const gesture = this.#gesture, { rubber, preview } = this.view, points = this.view.points;
    this.#pointerLeft(event);
    if (!gesture || gesture.kind === "pinch") return;
    if (gesture.live && rubber) this.page[gesture.kind === "model" ? "rough" : "draw"](rubber);
    else if (!gesture.live && gesture.kind === "model") this.page.point(this.view.toImage(gesture.from));
    else if (gesture.live && preview) this.page.place(preview.key, preview.xyxy);
    else if (!gesture.live && gesture.kind === "extreme") this.#point(points, this.view.toImage(gesture.from));
    else if (!gesture.live && event.button === 0) this.#click(gesture);
  }

  #click(gesture) {
    const box = smallestAt(this.view.visible(), ...this.view.toImage(gesture.from));
    this.page.select(gesture.kind === "resize" ? gesture.box.key : box?.key ?? null);
  }

  #point(points, point) {
    const next = [...points, point];
    this.view.points = next.length < 4 ? next : [];
    if (next.length === 4) this.page.draw(around(next));
    else this.page.hint(`${t`Point ${next.length} of 4.`} ${t(EXTREMES[next.length])}`);
    this.view.invalidate();
  }

  /** A pointer has left: its gesture is over, finished or not. */
  #pointerLeft(event) {
    this.#fingers.delete(event.pointerId);
    if (this.#gesture?.kind === "pinch" && this.#fingers.size) return;
    this.#gesture = null;
    Object.assign(this.view, { rubber: null, preview: null });
    this.view.stage.classList.toggle("panning", this.#spaceHeld);
    this.view.invalidate();
  }

  #pinch() {
    Object.assign(this.view, { rubber: null, preview: null });
    this.#gesture = { kind: "pinch" };
  }

  /** Two fingers zoom by how far they are apart and pan by where their middle goes. */
  #pinched(id, at) {
    const [first, second] = [...this.#fingers.keys()], before = [this.#fingers.get(first), this.#fingers.get(second)];
    this.#fingers.set(id, at);
    if (!second) return;
    const after = [this.#fingers.get(first), this.#fingers.get(second)];
    const [was, is] = [before, after].map(([a, b]) => ({ x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.hypot(a[0] - b[0], a[1] - b[1]) }));
    this.view.pan(is.x - was.x, is.y - was.y);
    if (was.apart > 10) this.view.zoom(is.apart / was.apart, [is.x, is.y]);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0018; // a pinch on a touchpad arrives as small steps with Ctrl
    this.view.zoom(Math.exp(-event.deltaY * lines * speed), this.view.at(event));
  }

  #hover(event, at) {
    if (event.pointerType === "touch") return;
    const model = this.page.model(), drawing = this.#tool !== "edit" && model?.whole;
    this.#cross(drawing ? at : null);
    const held = drawing || !model ? null : this.#held(at, 9);
    const box = drawing || !model ? null : smallestAt(this.view.visible(), ...this.view.toImage(at));
    const cursor = held?.kind === "resize" ? (CURSORS[held.handle.join("")] ?? "ew-resize") : held ? "move" : "";
    if (this.view.stage.style.cursor !== cursor) this.view.stage.style.cursor = cursor;
    if (this.view.hovered !== (box?.key ?? null)) {
      this.view.hovered = box?.key ?? null;
      this.view.invalidate();
    }
  }

  /** The pointer is on the stage no more: nothing is under it. */
  #away() {
    this.#cross(null);
    if (this.view.hovered === null) return;
    this.view.hovered = null;
    this.view.invalidate();
  }

  #cross(at) {
    if (at === null && this.view.cross === null) return;
    this.view.cross = at;
    this.view.invalidate({ boxes: false });
  }
}

/** Whether a box is a person's: drawn, or judged and settled by one. */
function isPersons(box) {
  return statusOf(box) === "human";
}
