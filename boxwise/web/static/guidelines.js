// The guidelines' page: the lead's text, and of each class what people labelled. Leads edit the text here.
// The server has made HTML of the text in which no tag is the writer's; names of classes and images reach the page as text only.

import { get, inPath, put } from "./api.js";
import { element, html, say, svg, swatch } from "./dom.js";
import { Naming } from "./naming.js";
import { offerLanguages, t, translate } from "./words.js";

const AROUND = 0.6; // of the box's larger side is shown around it

let known = null, naming = null;

async function begin() {
  translate(document.body);
  offerLanguages(element("language"));
  element("edit").addEventListener("click", () => edit(true));
  element("cancel").addEventListener("click", () => edit(false));
  element("editing").addEventListener("submit", (event) => {
    event.preventDefault();
    save().catch((error) => say("said", error.message));
  });
  naming = new Naming(element("annotator"), (await get("/api/study")).member);
  await show();
}

async function show() {
  known = await get("/api/guidelines");
  document.title = `${known.name} · ${t("Guidelines")} · boxwise`;
  element("name").textContent = `${known.name} · ${t("Guidelines")}`;
  // Made by the server of text in which no HTML counts; a parsed document runs nothing.
  element("guidelines").replaceChildren(...new DOMParser().parseFromString(known.html, "text/html").body.childNodes);
  if (!known.text) element("guidelines").replaceChildren(html("p", { class: "soft" }, t("The lead has written no guidelines yet.")));
  element("examples").replaceChildren(...known.examples.map(ofClass));
  edit(false);
}

function ofClass({ name, color, shots }) {
  const pictures = shots.length ? shots.map((shot) => pictured(shot, color)) : [html("p", { class: "soft" }, t("No example yet."))];
  return html("section", { "aria-label": name }, html("h3", {}, swatch(color), name), html("div", { class: "gallery" }, ...pictures));
}

/** The box with what is around it. */
function pictured({ image_id: id, width, height, xyxy: [x1, y1, x2, y2] }, color) {
  const edge = AROUND * Math.max(x2 - x1, y2 - y1), left = Math.max(0, x1 - edge), top = Math.max(0, y1 - edge);
  const seen = [left, top, Math.min(width, x2 + edge) - left, Math.min(height, y2 + edge) - top].join(" ");
  const box = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  const front = svg("rect", box);
  front.style.setProperty("--class", color);
  return html("figure", { class: "shot" }, svg("svg", { viewBox: seen, role: "img", "aria-label": id },
    svg("image", { href: `/previews/${inPath(id)}`, width, height, preserveAspectRatio: "none" }), svg("rect", { ...box, class: "behind" }), front));
}

function edit(open) {
  say("said", "");
  element("annotator").hidden = !known.editable;
  element("edit").hidden = open || !known.editable;
  element("editing").hidden = !open;
  element("guidelines").hidden = open;
  if (!open) return;
  element("text").value = known.text;
  element("text").focus();
}

async function save() {
  const annotator = naming.given();
  if (!annotator) return;
  await put("/api/guidelines", { annotator, text: element("text").value, version: known.version });
  await show();
}

await begin();
