// The dashboard's part for leads: what each person has done, and how far people agree who labelled the same images alone.
// Takes the server's figures, returns elements; none where it is for others to see.

import { html } from "./dom.js";
import { amount, fixed, moment, percent } from "./figures.js";
import { t } from "./words.js";

const share = (value) => percent(value, 1);
const plain = (value) => (value === null ? "–" : fixed(value, 2));

/** @param {(head: string[], rows: string[][]) => Element} table */
export async function teamParts(table) {
  const reply = await fetch("/api/team");
  if (!reply.ok) return [];
  const { people, agreement, by_class: classes, by_pair: pairs } = await reply.json();
  return [byPerson(people, table), ...(agreement.images ? agreements([{ ...agreement, name: t("all") }, ...pairs, ...classes], table) : [])];
}

/** What was sent back and is not answered since, and what people skipped in this round and why. */
export function putAside({ sent_back: back, sent_back_count: backCount, skipped, skipped_count: skippedCount }, table) {
  const link = (id) => html("a", { href: `/?open=${encodeURIComponent(id)}` }, id);
  const rest = (shown, count) => (count > shown.length ? [html("p", { class: "soft" }, t`${amount(count - shown.length)} more`)] : []);
  return [
    ...(back.length ? [
      html("h3", {}, t`Sent back, unanswered: ${amount(backCount)}`),
      html("p", { class: "soft" }, t("For a day an image is offered to whoever gave the answer, and then to all.")),
      table([t("image"), t("to whom"), t("since")], back.map((one) => [link(one.image_id), one.to, moment(one.at)])),
      ...rest(back, backCount),
    ] : []),
    ...(skipped.length ? [
      html("h3", {}, t("Skipped in this round")),
      table([t("image"), t("by whom"), t("reason")], skipped.map((one) => [link(one.image_id), one.by, one.reason])),
      ...rest(skipped, skippedCount),
    ] : []),
  ];
}

function byPerson(people, table) {
  const head = [t("person"), t("role"), t("images"), t("seconds an image"), t("reviewed"), t("accepted"), t("reviews given"), t("agreement")];
  return table(head, people.map((one) => [
    html("a", { href: `/review?of=${encodeURIComponent(one.name)}` }, one.name), one.role ? t(one.role) : "–", amount(one.images), one.each === null ? "–" : fixed(one.each, 1), amount(one.reviewed), share(one.accepted),
    amount(one.reviews), one.agreement ? t`${share(one.agreement.matched)} of ${amount(one.agreement.boxes)} boxes` : "–",
  ]));
}

function agreements(rows, table) {
  const head = [t("who, or which class"), t("images"), t("boxes"), t("boxes with a partner"), t("IoU"), t("same class"), t("kappa")];
  return [
    html("h3", {}, t("Agreement")),
    html("p", { class: "soft" }, t("Of images that two people labelled, each alone. A box has a partner where the other's box overlaps it by an IoU of 0.5 or more; IoU and class are those of partners; kappa is Cohen's.")),
    table(head, rows.map((one) => [one.name, amount(one.images), amount(one.boxes), share(one.matched), plain(one.iou), share(one.same_class), plain(one.kappa)])),
  ];
}
