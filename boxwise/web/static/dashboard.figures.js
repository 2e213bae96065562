// Figures as people read them, in the page's language.

import { language, t } from "./words.js";

export function amount(value, options = {}) {
  return value.toLocaleString(language, options);
}

export const figure = (value) => (value === null ? "–" : fixed(value, 3));
export const signed = (value) => `${value < 0 ? "−" : "+"}${fixed(Math.abs(value), 4)}`;

export function fixed(value, digits) {
  return amount(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A moment in ISO 8601, by the clock of whoever reads it. */
export function moment(at) {
  return new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

export function duration(seconds) {
  if (seconds < 90) return t`${seconds.toFixed(0)} s`;
  return seconds < 5400 ? t`${(seconds / 60).toFixed(0)} min` : t`${fixed(seconds / 3600, 1)} h`;
}
