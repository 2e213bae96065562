// Small questions to the person: the name, a class by typing, a reason, and the keyboard map.
// Each opens a <dialog> of the page and resolves to the answer, or to null when it was closed.

import { html, nameOf, swatch } from "./dom.js";
import { MAP, classKey, keysOf, singleKeys } from "./keys.js";
import { t } from "./words.js";

const SKIP_REASONS = ["I am not sure what I see", "It takes too long", "Somebody else knows better"];
const FLAG_REASONS = ["Too blurred or dark", "Duplicate of another image", "Not of this study", "Broken picture"];

/** Opens a dialog; the value its form was submitted with, or null. @returns {Promise<string | null>} */
function answered(dialog) {
  const cancel = dialog.querySelector(".cancel");
  if (cancel) cancel.onclick = () => dialog.close("");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), { once: true });
  });
}

/** Under which name the answers are kept. @returns {Promise<string | null>} null when it was closed or left empty */
export async function askName(known) {
  const dialog = document.querySelector("#name-dialog"), field = dialog.querySelector("input");
  field.value = known;
  dialog.querySelector(".cancel").hidden = !known;
  dialog.oncancel = (event) => !known && event.preventDefault();
  const given = await answered(dialog);
  return given === "ok" ? field.value.trim() || null : null;
}

/** Why an image is skipped or flagged. @returns {Promise<string | null>} */
export async function askReason(flag, imageId) {
  const dialog = document.querySelector("#reason-dialog"), field = dialog.querySelector("input");
  dialog.querySelector("h2").textContent = flag ? t("Flag the image") : t("Skip the image");
  dialog.querySelector("p").textContent = flag
    ? t`${imageId} leaves the study, with the reason, and is not asked about again.`
    : t`${imageId} is put off: others may take it, and you get it again after all the rest.`;
  dialog.querySelector("[value=ok]").textContent = flag ? t("Flag") : t("Skip");
  field.value = "";
  const presets = (flag ? FLAG_REASONS : SKIP_REASONS).map((reason) => {
    const words = t(reason);
    const button = html("button", { type: "button", class: "preset" }, words);
    button.addEventListener("click", () => {
      field.value = words;
      dialog.querySelector("[value=ok]").focus();
    });
    return button;
  });
  dialog.querySelector(".presets").replaceChildren(...presets);
  const given = await answered(dialog);
  return given === "ok" ? field.value.trim() || null : null;
}

/** A class, found by typing a part of its name. @returns {Promise<number | null>} */
export async function askClass(classes, current) {
  const dialog = document.querySelector("#class-dialog"), field = dialog.querySelector("input"), list = dialog.querySelector("ul");
  let found = [], at = 0;
  const mark = () => {
    [...list.children].forEach((row, index) => row.setAttribute("aria-selected", String(index === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", list.children[at]?.id ?? "");
  };
  const filter = () => {
    found = matching(classes, field.value);
    at = Math.max(0, field.value ? 0 : found.indexOf(current));
    list.replaceChildren(...found.map((label) => classRow(classes[label], label, () => dialog.close(String(label)))));
    mark();
  };
  field.value = "";
  field.oninput = filter;
  field.onkeydown = (event) => {
    if (event.isComposing) return; // its keys choose characters
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      at = Math.min(Math.max(at + step, 0), found.length - 1);
      mark();
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (found.length) dialog.close(String(found[at]));
    }
  };
  filter();
  const given = await answered(dialog);
  return given === null ? null : Number(given);
}

/** Labels of the classes whose name holds what was typed, those that begin with it first. */
export function matching(classes, typed) {
  const wanted = typed.trim().toLowerCase();
  const places = classes.map(({ name }, label) => ({ label, at: name.toLowerCase().indexOf(wanted) })).filter(({ at }) => at >= 0);
  return places.sort((a, b) => Number(a.at > 0) - Number(b.at > 0) || a.label - b.label).map(({ label }) => label);
}

function classRow({ name, color }, label, pick) {
  const row = html("li", { id: `class-option-${label}`, role: "option" }, swatch(color), nameOf(name), html("kbd", {}, classKey(label)));
  row.addEventListener("click", pick);
  return row;
}

/** Shows the keyboard map. */
export function showHelp() {
  const dialog = document.querySelector("#help-dialog"), groups = dialog.querySelector(".groups");
  if (!groups.childElementCount) {
    for (const group of new Set(MAP.map((entry) => entry.group))) groups.append(helpGroup(group));
  }
  const single = dialog.querySelector("input");
  single.checked = singleKeys.on;
  single.onchange = () => { singleKeys.on = single.checked; };
  const closed = answered(dialog);
  dialog.scrollTop = 0; // the button with the focus is at the end
  return closed;
}

function helpGroup(group) {
  const rows = html("dl");
  for (const entry of MAP.filter((other) => other.group === group)) {
    const keys = html("dt");
    keysOf(entry.action).forEach((key) => keys.append(html("kbd", {}, key), " "));
    rows.append(keys, html("dd", {}, t(entry.words)));
  }
  return html("section", {}, html("h3", {}, t(group)), rows);
}
