// The page's words in the reader's language. English is in the code and in the HTML; the others are in the catalogue, keyed by
// the English, and loaded for them alone, before the modules that say them run, so that none is missing once the server has gone. Why the
// server refuses something is said by the code of the reason. Names of classes, images and people stay as they are.

import { remember, remembered } from "./tabs.js";

const KEY = "boxwise/language";
/** Code and own name of each language; English has no column. */
const LANGUAGES = [["en", "English"], ["de", "Deutsch"], ["zh", "中文"], ["es", "Español"]];
const SPOKEN = ["title", "aria-label", "placeholder"];

/** The code of the language in use: the one that was chosen, or the first of the browser's that the catalogue has. */
export const language = chosen();
const column = LANGUAGES.findIndex(([code]) => code === language) - 1;
const { CATALOGUE, REASONS } = column < 0 ? { CATALOGUE: {}, REASONS: {} } : await catalogues();

/** The words of the labelling page, of the pages beside it where this is one of them, and of the server's refusals. */
async function catalogues() {
  const isBeside = document.documentElement.dataset.words === "dashboard";
  const [{ CATALOGUE: labelling }, { REASONS: reasons }, { DASHBOARD: dashboard }] = await Promise.all([
    loaded("./catalogue.js"), loaded("./catalogue.reasons.js"), isBeside ? loaded("./catalogue.dashboard.js") : {},
  ]);
  return { CATALOGUE: { ...labelling, ...dashboard }, REASONS: reasons ?? {} };
}

/** What a catalogue holds; nothing where it cannot be had: then English serves. */
function loaded(catalogue) {
  return import(catalogue).catch(() => ({}));
}

function chosen() {
  const wanted = [remembered("localStorage", KEY, null), ...navigator.languages].map((code) => String(code).slice(0, 2));
  return wanted.find((code) => LANGUAGES.some(([known]) => known === code)) ?? "en";
}

/**
 * The words of a sentence: t("Saved"), or as a tag of a template: t`${answered} of ${asked} answered`, which the catalogue has as
 * "{0} of {1} answered".
 */
export function t(words, ...values) {
  const english = typeof words === "string" ? words : words.slice(1).reduce((sentence, part, index) => `${sentence}{${index}}${part}`, words[0]);
  const said = (column < 0 ? null : CATALOGUE[english]?.[column]) ?? english;
  return filled(said, values);
}

/**
 * Why the server refused something, in the reader's language; a code that the catalogue lacks in the server's own English.
 * @param {{error: string, code?: string, values?: string[]}} reply
 */
export function reasonOf({ error, code, values = [] }) {
  const said = column < 0 ? null : REASONS[code]?.[column];
  return said ? filled(said, values) : error;
}

function filled(words, values) {
  return values.length ? words.replace(/\{(\d)\}/g, (_, index) => values[index]) : words;
}

/** Puts the words of a part of the page, as its HTML has them in English, into the language. */
export function translate(root) {
  document.documentElement.lang = language;
  if (column < 0) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const words = node.data.trim().replace(/\s+/g, " ");
    if (words in CATALOGUE) node.data = node.data.replace(/\S[\s\S]*\S|\S/, t(words));
  }
  for (const name of SPOKEN) {
    for (const element of root.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
  }
}

/** A choice of languages; the page is loaded anew in the one that is chosen. @param {HTMLSelectElement} select */
export function offerLanguages(select) {
  select.replaceChildren(...LANGUAGES.map(([code, name]) => new Option(name, code, false, code === language)));
  select.addEventListener("change", () => {
    remember("localStorage", KEY, select.value);
    location.reload();
  });
}
