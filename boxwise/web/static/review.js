// The review's page: what others have handed in, one image at a time, with the answers of two people side by side.
// Names, remarks and classes reach the page as text only.

import { get, inPath, post } from "./api.js";
import { ActiveClock } from "./clock.js";
import { element, html, say, svg, swatch } from "./dom.js";
import { amount, fixed, percent } from "./figures.js";
import { clickOnce, combination, singleKeys } from "./keys.js";
import { Naming } from "./naming.js";
import { Presence } from "./presence.js";
import { offerLanguages, t, translate } from "./words.js";

const KEYS = { a: "accept", s: "send back", c: "correct", n: "next", 1: "take 0", 2: "take 1" };

const now = () => performance.now();
const of = new URLSearchParams(location.search).get("of") ?? ""; // whose answers alone; all where it is empty
let naming = null, presence = null, classes = [], item = null, past = 0, clock = new ActiveClock(), busy = false;

async function begin() {
  translate(document.body);
  offerLanguages(element("language"));
  const study = await get("/api/study");
  document.title = `${study.name} · ${t("Review")} · boxwise`;
  element("name").textContent = study.name;
  classes = study.classes;
  naming = new Naming(element("annotator"), study.member, () => location.reload()); // another person's answers are to be reviewed
  presence = new Presence(() => naming.name, { here: () => clock.touch(now()), away: () => clock.stop(now()) });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act(button.dataset.act);
  });
  document.addEventListener("keydown", (event) => {
    clickOnce(event);
    if (event.repeat || event.isComposing) return; // Enter may choose a character, not end the remark
    if (event.target === element("remark") && event.key === "Enter") act("send back");
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const meant = KEYS[combination(event)];
    if (!meant || !item || !singleKeys.on) return;
    event.preventDefault();
    act(meant);
  });
  await show();
}

/** Shows the next answer, passing over those that were put off. */
async function show() {
  const found = await get(`/api/review?${new URLSearchParams({ annotator: naming.name, of, past })}`);
  if (found.classes.join("\n") !== classes.map((one) => one.name).join("\n")) {
    location.reload(); // they were changed; nothing is in hand here
    return new Promise(() => {});
  }
  if (!found.item && past) {
    past = 0; // those that were put off come again
    return show();
  }
  item = found.item;
  const left = found.left ? t`To be reviewed: ${amount(found.left)}` : t("Nothing is to be reviewed now.");
  element("left").textContent = of ? `${t`Answers of ${of}`} · ${left}` : left;
  element("item").hidden = !item;
  if (!item) return undefined;
  const two = item.answers.length === 2;
  element("image").textContent = item.image_id;
  element("how-far").hidden = !two;
  if (two) element("how-far").textContent = howFar(item.agreement);
  element("answers").replaceChildren(...item.answers.map((answer, row) => shown(answer, row, two)));
  element("remarks").replaceChildren(...item.remarks.map(({ by, to, words }) => html("li", {}, t`${by} to ${to}: ${words}`)));
  element("one").hidden = two;
  element("remark").value = "";
  clock = new ActiveClock();
  if (presence.here) clock.touch(now());
  return undefined;
}

function howFar({ matched, iou, same_class: same }) {
  return t`Two people labelled this image, each alone. Boxes with a partner: ${percent(matched)}, IoU ${iou === null ? "–" : fixed(iou, 2)}, same class: ${percent(same)}. Dashed: what the other has not.`;
}

function shown({ annotator: name, seconds, boxes }, row, two) {
  const picture = svg("svg", { viewBox: `0 0 ${item.width} ${item.height}`, role: "img", "aria-label": t`${item.image_id} by ${name}` },
    svg("image", { href: `/previews/${inPath(item.image_id)}`, width: item.width, height: item.height, preserveAspectRatio: "none" }));
  for (const { xyxy: [x1, y1, x2, y2], label, apart } of boxes) {
    const at = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    picture.append(svg("rect", { ...at, class: "behind" }), svg("rect", { ...at, class: apart ? "apart" : "", stroke: classes[label].color }, svg("title", {}, classes[label].name)));
  }
  const counts = classes.map(({ name: called, color }, label) => [called, color, boxes.filter((box) => box.label === label).length]);
  const legend = counts.filter(([, , count]) => count).map(([called, color, count]) => html("li", {}, swatch(color), `${called}: ${amount(count)}`));
  const words = html("figcaption", {}, html("b", {}, name), ` · ${boxes.length === 1 ? t`One box in ${fixed(seconds, 1)} s` : t`${amount(boxes.length)} boxes in ${fixed(seconds, 1)} s`}`);
  const take = two ? html("button", { type: "button", "data-act": `take ${row}` }, t`Take this one`, html("kbd", {}, String(row + 1))) : null;
  return html("figure", {}, picture, words, html("ul", {}, ...legend), take);
}

async function act(name) {
  if (!item || busy) return undefined;
  const [verdict, row] = name.startsWith("take ") ? ["take", Number(name.slice(5))] : [name, 0];
  if (verdict === "correct") return location.assign(`/?open=${encodeURIComponent(item.image_id)}`);
  if (item.answers.length === 2 ? ["accept", "send back"].includes(verdict) : verdict === "take") return undefined;
  const remark = element("remark").value.trim();
  if (verdict === "send back" && !remark) {
    say("said", t("Say why in a remark first; it is shown with the image."));
    return element("remark").focus();
  }
  const annotator = naming.given();
  if (!annotator) return undefined;
  busy = true;
  say("said", "");
  try {
    if (verdict === "next") past++;
    else {
      const { number } = item.answers[row], beside = item.answers.find((other) => other.number !== number)?.number ?? null;
      const body = { annotator, image_id: item.image_id, number, beside, verdict, seconds: clock.seconds(now()), ...(verdict === "send back" ? { remark } : {}) };
      await post("/api/reviews", body);
    }
  } catch (error) {
    say("said", error.message);
  }
  element("remark").blur();
  await show().catch((error) => say("said", error.message));
  busy = false;
  return undefined;
}

await begin();
