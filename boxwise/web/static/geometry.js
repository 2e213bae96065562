// Rectangles: clamping, moving, resizing by a handle, and which box or handle lies under a pointer.
// Pure functions over [x1, y1, x2, y2] in pixels of the original image; knows neither the DOM nor what a box means.

/** @typedef {[number, number, number, number]} Xyxy */

/** Boxes narrower or lower than this are not made, nor taken by the server; pixels of the image. */
export const SMALLEST = 1;

/** The eight handles: which edges follow the pointer, as [x edge, y edge] in {-1 left/top, 0 none, 1 right/bottom}. */
export const HANDLES = [[-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]];

const between = (value, low, high) => Math.min(Math.max(value, low), high);
const hundredth = (value) => Math.round(value * 100) / 100;

/** The smallest rectangle around points [[x, y], ...]. @returns {Xyxy} */
export function around(points) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** `xyxy` within the image, to a hundredth of a pixel; null where less than `SMALLEST` is left of a side. @returns {Xyxy | null} */
export function clamped([x1, y1, x2, y2], { width, height }) {
  const inside = [between(x1, 0, width), between(y1, 0, height), between(x2, 0, width), between(y2, 0, height)].map(hundredth);
  return inside[2] - inside[0] >= SMALLEST && inside[3] - inside[1] >= SMALLEST ? inside : null;
}

/** `xyxy` shifted, stopping at the image's edge with its size kept. @returns {Xyxy} */
export function moved([x1, y1, x2, y2], dx, dy, { width, height }) {
  const right = between(dx, Math.min(0, -x1), Math.max(0, width - x2));
  const down = between(dy, Math.min(0, -y1), Math.max(0, height - y2));
  return [x1 + right, y1 + down, x2 + right, y2 + down].map(hundredth);
}

/**
 * `xyxy` where no box of `others` hides it, its size kept: there, or as many steps beside it as needed, to the right and down or else to
 * the left and up; null where all of these are taken. @returns {Xyxy | null}
 */
export function freePlace(xyxy, others, step, size) {
  const taken = (place) => others.some((other) => sameBox(other, place, step / 2));
  for (const way of [step, -step]) {
    for (let place = xyxy, before = null; !before || !sameBox(place, before); [before, place] = [place, moved(place, way, way, size)]) {
      if (!taken(place)) return place;
    }
  }
  return null;
}

/** `xyxy` with the edges of one handle dragged; an edge pulled past its opposite turns the box over. @returns {Xyxy} */
export function resized([x1, y1, x2, y2], [horizontal, vertical], dx, dy) {
  return around([
    [x1 + (horizontal < 0 ? dx : 0), y1 + (vertical < 0 ? dy : 0)],
    [x2 + (horizontal > 0 ? dx : 0), y2 + (vertical > 0 ? dy : 0)],
  ]);
}

/** Where a handle sits on `xyxy`. @returns {[number, number]} */
export function handlePoint([x1, y1, x2, y2], [horizontal, vertical]) {
  return [(x1 + x2) / 2 + horizontal * (x2 - x1) / 2, (y1 + y2) / 2 + vertical * (y2 - y1) / 2];
}

/**
 * The handle within `reach` of a point, or null. Inside a small box the reach shrinks to a quarter of its shorter side, so that its
 * middle can still be grasped. All in the same units.
 */
export function handleAt(xyxy, x, y, reach) {
  const inner = contains(xyxy, x, y) ? Math.min(reach, Math.min(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]) / 4) : reach;
  let best = null, nearest = inner;
  for (const handle of HANDLES) {
    const [px, py] = handlePoint(xyxy, handle);
    const distance = Math.hypot(px - x, py - y);
    if (distance <= nearest) [best, nearest] = [handle, distance];
  }
  return best;
}

export function contains([x1, y1, x2, y2], x, y) {
  return x >= x1 && x <= x2 && y >= y1 && y <= y2;
}

/** Whether a point lies within `reach` of the outline. */
export function onOutline([x1, y1, x2, y2], x, y, reach) {
  const inner = [x1 + reach, y1 + reach, x2 - reach, y2 - reach];
  const within = inner[2] > inner[0] && inner[3] > inner[1] && contains(inner, x, y);
  return contains([x1 - reach, y1 - reach, x2 + reach, y2 + reach], x, y) && !within;
}

/** The smallest of `boxes` that covers a point, or null: what lies within another can be reached. @template {{xyxy: Xyxy}} B */
export function smallestAt(boxes, x, y) {
  const hit = boxes.filter((box) => contains(box.xyxy, x, y));
  return hit.reduce((least, box) => (least && area(least.xyxy) <= area(box.xyxy) ? least : box), null);
}

export function area([x1, y1, x2, y2]) {
  return Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
}

/** Intersection over union of two boxes. */
export function iou(a, b) {
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared ? shared / (area(a) + area(b) - shared) : 0;
}

/** Whether two boxes agree within `tolerance` pixels at every edge. */
export function sameBox(a, b, tolerance = 0.005) {
  return a.every((edge, side) => Math.abs(edge - b[side]) <= tolerance);
}
