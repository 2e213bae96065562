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

const MOST_WHOLE = 1e6; // a whole number below it is shown to its last digit
const LEAST_PLAIN = 1e-6; // a smaller one is shown as a power of ten

/** A figure of any size, of at most so many significant digits. @param {number | null | undefined} value */
export function significant(value, digits = 3) {
  if (!Number.isFinite(value)) return String(value ?? "–");
  if (Number.isInteger(value) && Math.abs(value) < MOST_WHOLE) return amount(value);
  return amount(value, { maximumSignificantDigits: digits, notation: Math.abs(value) < LEAST_PLAIN ? "scientific" : "standard" });
}

/** A share of 0 to 1 in percent; "–" where it is not known. @param {number | null} share */
export function percent(share, digits = 0) {
  return share === null ? "–" : amount(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A moment in ISO 8601, by the clock of whoever reads it. */
export function moment(at) {
  return new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

export function duration(seconds) {
  if (seconds < 90) return t`${fixed(seconds, 0)} s`;
  return seconds < 5400 ? t`${fixed(seconds / 60, 0)} min` : t`${fixed(seconds / 3600, 1)} h`;
}
