// How far the budget goes, and what a target AP would take: labels, hours, money. Returns elements; the figures are the server's.

import { get } from "./api.js";
import { element, html } from "./dom.js";
import { amount, duration, percent } from "./figures.js";
import { remember, remembered } from "./tabs.js";
import { t } from "./words.js";

const KEY = "boxwise/target";
let asked = 0;  // forecasts, so far

/** @returns {HTMLElement[]} */
export function budget({ budget: { unit, done, planned, seconds, seconds_planned: ahead, per_hour: rate } }) {
  const parts = [html("dl", { class: "figures" }, ...[
    [planned === null ? amount(done) : t`${amount(done)} of ${amount(planned)}`, labelledUnit(unit)],
    [ahead === null ? duration(seconds) : t`${duration(seconds)} of about ${duration(ahead)}`, t("of people's time")],
    ...(rate === null ? [] : [[ahead === null ? money(seconds, rate) : t`${money(seconds, rate)} of about ${money(ahead, rate)}`, t`at ${amount(rate)} an hour`]]),
  ].map(([value, name]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))))];
  if (planned) parts.unshift(html("progress", { value: Math.min(done, planned), max: planned, "aria-label": t("Labelled of what is planned") }));
  if (rate === null) parts.push(html("p", { class: "soft small" }, t("Set cost.per_hour in the study's config.yaml to see money as well.")));
  return parts;
}

/** Asks for a forecast now and whenever the form is sent; the target stays in the browser. */
export function offerForecast() {
  element("target").value = remembered("localStorage", KEY, "0.50");
  element("target-form").addEventListener("submit", (event) => {
    event.preventDefault();
    remember("localStorage", KEY, element("target").value);
    forecast();
  });
}

/** Shows the forecast for the target of the field; a reply to an earlier question that comes later is passed over. */
export async function forecast() {
  const number = ++asked;
  let words;
  try {
    words = sentence(await get(`/api/forecast?ap=${encodeURIComponent(element("target").value)}`));
  } catch (error) {
    words = error.message;
  }
  if (number === asked) element("forecast").textContent = words;
}

/**
 * What the curves are worth where labels or classes have changed since rounds were judged, and what judges anew.
 * @returns {HTMLElement | null} null: nothing has changed
 */
export function outdated({ outdated: { images, lost, before, command } }) {
  const listed = (rounds) => rounds.join(", ");
  const words = [
    images && t`Figures speak of labels as they were: those of ${images} images by which rounds were judged have changed since.`,
    command && t`To judge by those of now: ${command}`,
    lost.length && t`What was detected then is lost, so this stays so: round ${listed(lost)}.`,
    before.length && t`Judged while the classes were others, which stays so: round ${listed(before)}.`,
  ].filter(Boolean).join(" ");
  return words ? html("p", { class: "soft" }, words) : null;
}

function sentence(said) {
  const ap = said.target, chance = percent(said.chance);
  if (said.why === "rounds") return t("That cannot be said yet: it needs three evaluated rounds with different amounts of labels.");
  if (said.why === "reached") return t`An AP of ${ap} has been reached already.`;
  if (said.why === "far") return t`That cannot be said: the curve so far reaches an AP of ${ap} with a chance of ${chance}, and if so beyond ten times what is labelled.`;
  if (said.why === "pool") return t`An AP of ${ap} is likely to take more than all images of the study.`;
  const { amount: likely, low, high } = said, unit = labelledUnit(said.unit);
  const range = high === null
    ? t`An AP of ${ap} is likely to take ${amount(likely)} ${unit} in all; with a chance of 90% more than ${amount(low)}, and how many at most cannot be said.`
    : t`An AP of ${ap} is likely to take ${amount(likely)} ${unit} in all, with a chance of 80% between ${amount(low)} and ${amount(high)}.`;
  return [range, price(said)].filter(Boolean).join(" ");
}

function price({ labelled, amount: likely, high, seconds_each: each, per_hour: rate }) {
  if (each === null) return "";
  const more = (likely - labelled) * each, most = high === null ? null : (high - labelled) * each;
  const hours = most === null ? t`That is about ${duration(more)} more.` : t`That is about ${duration(more)} more, ${duration(most)} at the upper limit.`;
  return rate === null ? hours : [hours, t`At ${amount(rate)} an hour: ${money(more, rate)}.`].join(" ");
}

function labelledUnit(unit) {
  return { images: t("labelled images"), boxes: t("labelled boxes"), seconds: t("seconds of labelling") }[unit];
}

function money(seconds, rate) {
  return amount((seconds / 3600) * rate, { maximumFractionDigits: 2 });
}
