// An image that is opened again after it was answered: which gestures would have made its labels of the boxes that were shown; or what an
// answer that was not taken says of the boxes that are there now. Returns a list of boxes for boxes.js, judged as they were then. Pure; the
// mirror of boxwise/annotation/comparison.py.

import { iou, sameBox } from "./geometry.js";

const ROUNDING_PIXELS = 0.5;
const MOVED_IOU = 0.5;

/**
 * `shown` boxes with the answers that `labels` imply. A label in the place of a shown box keeps or relabels it, one that overlaps it by
 * half moved it, another was drawn; a shown box without a label was rejected. A label of the model's own without a shown box is left out.
 * @param {import("./boxes.js").Box[]} shown
 * @param {{xyxy: number[], label: number, source: string, difficult: boolean, crowd: boolean}[]} labels
 * @param {(label: object) => import("./boxes.js").Box} drawn makes a drawn box of a label
 */
export function asLabelled(shown, labels, drawn) {
  const pairs = matched(shown, labels);
  const judged = shown.map((box) => judgedBy(box, pairs.get(box)));
  const taken = new Set(pairs.values());
  return [...judged, ...labels.filter((label) => label.source !== "model" && !taken.has(label)).map(drawn)];
}

/**
 * `shown` boxes with what a person had said of others. One of `kept` in the place of a shown box keeps, moves or relabels it, else it was
 * drawn; a shown box in the place of one of `rejected` is rejected. Of the rest nothing was said: questions stay open.
 * @param {import("./boxes.js").Box[]} shown
 * @param {{xyxy: number[], label: number, difficult: boolean, crowd: boolean}[]} kept
 * @param {{xyxy: number[], label: number}[]} rejected
 * @param {(label: object) => import("./boxes.js").Box} drawn makes a drawn box of one that was kept
 */
export function takenOver(shown, kept, rejected, drawn) {
  const pairs = matched(shown, kept), taken = new Set(pairs.values());
  const denied = matched(shown.filter((box) => !pairs.has(box)), rejected);
  const judged = shown.map((box) => {
    if (pairs.has(box)) return judgedBy(box, pairs.get(box));
    return denied.has(box) ? { ...box, answer: "delete" } : box;
  });
  return [...judged, ...kept.filter((label) => !taken.has(label)).map(drawn)];
}

/** What an answer has drawn, where no document of it was kept, as by a page of before. left_out: how many verdicts name boxes by their ids. */
export function drawnIn({ verdicts, seconds }) {
  const drawn = verdicts.filter(({ xyxy, label }) => xyxy && Number.isInteger(label));
  return { boxes: drawn.map((verdict) => ({ ...verdict, id: "", answer: "" })), seconds, left_out: verdicts.length - drawn.length };
}

function judgedBy(box, label) {
  if (!label) return box.state === "uncertain" && !box.question ? box : { ...box, answer: "delete" };
  const xyxy = sameBox(label.xyxy, box.xyxy, ROUNDING_PIXELS) ? box.xyxy : label.xyxy;
  return { ...box, xyxy, label: label.label, difficult: label.difficult, crowd: label.crowd, answer: box.question ? "keep" : "" };
}

/** Box → its label, one to one, the closest pairs first and those of one class before others. */
function matched(shown, labels) {
  const pairs = shown.flatMap((box) => labels.map((label) => [affinity(box, label), box, label])).filter(([value]) => value > 0);
  pairs.sort((a, b) => b[0] - a[0]);
  const partner = new Map(), taken = new Set();
  for (const [, box, label] of pairs) {
    if (partner.has(box) || taken.has(label)) continue;
    partner.set(box, label);
    taken.add(label);
  }
  return partner;
}

function affinity(box, label) {
  const overlap = iou(box.xyxy, label.xyxy);
  const near = overlap >= MOVED_IOU || sameBox(box.xyxy, label.xyxy, ROUNDING_PIXELS);
  return near ? overlap + (box.label === label.label ? 1 : 0) : 0;
}
