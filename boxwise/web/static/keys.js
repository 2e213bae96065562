// The keyboard map: which keys mean which action, and the words under which the help shows it.
// Knows nothing of what an action does. Buttons name the same actions in data-action, so each key has a button.

import { remember, remembered } from "./tabs.js";

const SINGLE_KEY = "boxwise/single-keys";

/** @type {{group: string, action: string, keys: string[], words: string}[]} */
export const MAP = [
  { group: "Questions", action: "next", keys: ["Tab", "n"], words: "Next open question; where none is open, next box" },
  { group: "Questions", action: "previous", keys: ["Shift+Tab", "p"], words: "Previous open question, or box" },
  { group: "Questions", action: "accept", keys: ["Enter", "a"], words: "Accept the box" },
  { group: "Questions", action: "reject", keys: ["x", "Delete", "Backspace"], words: "Reject or delete the box" },
  { group: "Questions", action: "acceptRest", keys: ["Shift+a"], words: "Accept all open questions" },
  { group: "Questions", action: "tryScore", keys: ["t"], words: "Answer all by a score: see what it accepts, Enter applies" },
  { group: "Questions", action: "nextUncertain", keys: ["."], words: "Next open question, also of another image" },
  { group: "Questions", action: "labelRight", keys: ["y"], words: "A label in doubt is right" },
  { group: "Questions", action: "takeModels", keys: ["k"], words: "The model is right about a label in doubt" },
  { group: "Image", action: "submit", keys: ["Space", "Ctrl+Enter"], words: "Nothing missed: next image" },
  { group: "Image", action: "submitRejecting", keys: ["Shift+Space"], words: "Reject what is open, then next image" },
  { group: "Image", action: "skip", keys: ["s"], words: "Skip the image, with a reason" },
  { group: "Image", action: "flag", keys: ["f"], words: "Flag the image as unusable, with a reason" },
  { group: "Image", action: "back", keys: ["[", ","], words: "Back to the image before" },
  { group: "Image", action: "undoHandIn", keys: ["u"], words: "Take back the last hand-in, skip or flag" },
  { group: "Class", action: "class", keys: ["1 … 9", "Alt+1 … 9", "Shift+1 … 9"], words: "Class 1 to 9, 10 to 18, 19 to 27; with nothing selected, for all boxes drawn next" },
  { group: "Class", action: "palette", keys: ["c", "/"], words: "Class by typing its name" },
  { group: "Class", action: "difficult", keys: ["h"], words: "Mark the box as hard to recognise" },
  { group: "Drawing", action: "toolEdit", keys: ["v"], words: "Edit: drag boxes; drag beside them to draw" },
  { group: "Drawing", action: "toolDraw", keys: ["d"], words: "Draw: every drag is a new box" },
  { group: "Drawing", action: "toolExtreme", keys: ["e"], words: "Extreme clicking: top, left, bottom, right-most points" },
  { group: "Drawing", action: "toolModel", keys: ["w"], words: "Model help: a click or a rough box becomes the tight box" },
  { group: "Drawing", action: "follow", keys: ["Shift+m"], words: "All boxes of the image before, where the model finds them here" },
  { group: "Drawing", action: "drawByKeys", keys: ["o"], words: "A new box in the middle, for the arrow keys" },
  { group: "Drawing", action: "nudge", keys: ["Arrows"], words: "Move the box by 1 px (Shift: 10 px; Alt: move its right or lower edge)" },
  { group: "Drawing", action: "copy", keys: ["Ctrl+c"], words: "Copy the box" },
  { group: "Drawing", action: "paste", keys: ["Ctrl+v"], words: "Paste it, also on another image" },
  { group: "Drawing", action: "duplicate", keys: ["Ctrl+d"], words: "Duplicate the box" },
  { group: "Drawing", action: "copyPrevious", keys: ["m"], words: "All boxes of the image before" },
  { group: "Drawing", action: "undo", keys: ["Ctrl+z"], words: "Undo" },
  { group: "Drawing", action: "redo", keys: ["Ctrl+Shift+z", "Ctrl+y"], words: "Redo" },
  { group: "Drawing", action: "escape", keys: ["Escape"], words: "Cancel the gesture; select nothing" },
  { group: "View", action: "zoomIn", keys: ["+", "="], words: "Zoom in (also wheel, pinch)" },
  { group: "View", action: "zoomOut", keys: ["-"], words: "Zoom out" },
  { group: "View", action: "fit", keys: ["0"], words: "Fit the image" },
  { group: "View", action: "closeUp", keys: ["z"], words: "Zoom to the selected box" },
  { group: "View", action: "pan", keys: ["Space+drag"], words: "Pan (also middle button, two fingers)" },
  { group: "View", action: "names", keys: ["l"], words: "Names of all boxes, or of few" },
  { group: "View", action: "hide", keys: ["b"], words: "Hide all boxes, or show them" },
  { group: "View", action: "hideClass", keys: ["Shift+b"], words: "Hide the boxes of a class, or show them" },
  { group: "View", action: "magnify", keys: ["g"], words: "Magnifier under the pointer" },
  { group: "View", action: "panel", keys: ["i"], words: "The panel beside the image, on small screens" },
  { group: "View", action: "leave", keys: ["F6"], words: "From the image to the buttons and back" },
  { group: "View", action: "guidelines", keys: ["r"], words: "The study's guidelines, with examples of each class" },
  { group: "View", action: "help", keys: ["?"], words: "These keys" },
];

const ACTIONS = new Map(MAP.flatMap(({ action, keys }) => keys.map((key) => [key, action])));
const SIGNS = new Set([...ACTIONS.keys()].filter((keys) => /^[^a-z0-9]$/.test(keys))); // such as "/", which some keyboards have over a digit
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What goes on while a key is held; anything else is done once a press. */
const WHILE_HELD = new Set(["nudge", "zoomIn", "zoomOut", "next", "previous"]);

/** The keys of an action as a person reads them, "Ctrl+Z"; none where it only has a button. */
export function keysOf(action) {
  return (MAP.find((entry) => entry.action === action)?.keys ?? []).map((keys) => keys.replace(/(^|\+)([a-z])$/, (_, plus, key) => plus + key.toUpperCase()));
}

/** The signs of a QWERTY keyboard at the places whose signs are in the map; for keyboards of other scripts. */
const PLACES = { BracketLeft: "[", BracketRight: "]", Slash: "/", Minus: "-", Equal: "=", Comma: ",", Period: ".", Semicolon: ";" };

/**
 * The key that is meant, on any keyboard: a digit's place is the digit with or without Shift (AZERTY), but for a sign of the map that Shift
 * or AltGr writes there; a Latin letter is the letter on the key; of any other script the key at the same place of a QWERTY keyboard.
 */
function keyOf({ key, code = "", shiftKey, altKey }) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  const isSign = SIGNS.has(key) && (shiftKey || (key === "[" && !altKey)); // by Alt, as on a German Mac, it is the digit's class
  if (digit !== undefined && !isSign) return digit;
  if (key === " ") return "Space";
  if (key.length !== 1 || /[\x21-\x7e]/.test(key)) return key.length === 1 ? key.toLowerCase() : key;
  return /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? PLACES[code] ?? key.toLowerCase();
}

/** A key event as the map writes it. Shift is named for letters and named keys only: where "?" needs it differs from keyboard to keyboard. */
export function combination(event) {
  const key = keyOf(event);
  const shift = event.shiftKey && (key.length > 1 || /[a-z]/.test(key) || (/\d/.test(key) && event.key !== key));
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shift ? "Shift+" : ""}${key}`;
}

/** The key of a class, "" beyond the twenty-seventh. */
export function classKey(label) {
  return label < 27 ? `${["", "Alt+", "⇧"][Math.floor(label / 9)]}${label % 9 + 1}` : "";
}

/**
 * What a key event on the image means, or null.
 * @returns {{action: string, label?: number, dx?: number, dy?: number, resize?: boolean} | null}
 */
export function meaning(event) {
  const keys = combination(event);
  const digit = /^(|Alt\+|Shift\+)([1-9])$/.exec(keys);
  if (digit) return { action: "class", label: Number(digit[2]) - 1 + 9 * ["", "Alt+", "Shift+"].indexOf(digit[1]) };
  const arrow = ARROWS[event.key];
  if (arrow && !event.ctrlKey && !event.metaKey) {
    const step = event.shiftKey ? 10 : 1;
    return { action: "nudge", dx: arrow[0] * step, dy: arrow[1] * step, resize: event.altKey };
  }
  const action = ACTIONS.get(keys);
  return action ? { action } : null;
}

/** A button is clicked once, however long Enter is held on it. */
export function clickOnce(event) {
  if (event.repeat && event.key === "Enter" && event.target.closest("button, a, summary")) event.preventDefault();
}

/**
 * Listens to the page's keys and calls `act` with what they mean. Space acts when it is released, and not at all if it was held to pan.
 * Fields, dialogs and, for the keys they need themselves, buttons and links keep theirs; Tab stays the browser's outside the image.
 * @param {(meaning: {action: string}) => void} act
 * @param {{panned: () => boolean, holding: (held: boolean) => void}} space
 */
export function listen(act, space) {
  let held = null;
  document.addEventListener("keydown", (event) => {
    clickOnce(event);
    const meant = isOthers(event) || (isSingle(event) && !singleKeys.on) ? null : meaning(event);
    if (!meant) return;
    event.preventDefault();
    if (event.repeat && !WHILE_HELD.has(meant.action)) return;
    if (event.key !== " ") return act(meant);
    held = meant;
    space.holding(true);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !held) return;
    event.preventDefault();
    const meant = held;
    held = null;
    space.holding(false);
    if (!space.panned()) act(meant);
  });
  window.addEventListener("blur", () => {
    held = null;
    space.holding(false);
  });
}

/** Whether a letter, a digit or a sign alone does something: who dictates to the machine turns that off (WCAG 2.1.4). */
export const singleKeys = {
  get on() { return remembered("localStorage", SINGLE_KEY, true); },
  set on(wanted) { remember("localStorage", SINGLE_KEY, wanted); },
};

function isSingle(event) {
  return event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
}

/** Whether a key belongs to what has the focus rather than to the image. */
function isOthers(event) {
  if (event.ctrlKey && event.key === "c" && String(getSelection())) return true; // words of the page are copied
  if (event.isComposing || document.querySelector("dialog[open]")) return true;
  const target = /** @type {Element} */ (event.target);
  if (target.closest("input, textarea, select, [contenteditable]")) return true;
  if (target.closest("[role=listbox]")) return ["ArrowUp", "ArrowDown", "Home", "End", "Tab"].includes(event.key);
  if (target.closest("button, a, summary")) return ["Tab", " ", "Enter"].includes(event.key) && !event.ctrlKey;
  return event.key === "Tab" && !target.closest("#stage") && target !== document.body;
}
