// The pool's page: a map, search and filters over the study's images, and acts on many of them at once.
// Names of classes, files and people reach the page as text only.

import { get, post, thumbnail } from "./api.js";
import { element, html } from "./dom.js";
import { amount, fixed, percent } from "./figures.js";
import { Naming } from "./naming.js";
import { markOf, PoolMap } from "./pool.map.js";
import { offerLanguages, reasonOf, t, translate } from "./words.js";

const WAIT_MS = 250; // after the last key of a search
const AT_ONCE = 100; // images that one request acts on, so that each is answered soon
const filters = element("filters");
const chosen = new Set(); // ids of the selected images
let naming = null, classes = [], found = null, page = 0, region = null, timer = 0, asked = 0, acting = false;

const STATES = {
  pool: t("in the pool"), asked: t("asked about now"), labelled: t("labelled"), flagged: t("flagged"),
  val: t("for validation, without labels"), test: t("for the test, without labels"),
  suspect: t("label in doubt"), wanted: t("asked about next"),
};

const SPLITS = { val: t("for validation"), test: t("for the test") };

async function begin() {
  translate(document.body);
  offerLanguages(element("language"));
  const [study, { member }] = await Promise.all([get("/api/pool"), get("/api/study")]);
  naming = new Naming(element("annotator"), member);
  document.title = `${study.name} · ${t("Pool")} · boxwise`;
  element("name").textContent = study.name;
  classes = study.classes;
  offer("label", classes.map(({ name }, index) => [index, name]));
  offer("person", study.people.map((name) => [name, name]));
  offer("round", study.rounds.map((number) => [number, amount(number)]));
  offer("state", Object.entries(STATES));
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", () => soon());
  element("earlier").addEventListener("click", () => turn(-1));
  element("later").addEventListener("click", () => turn(1));
  element("clear").addEventListener("click", () => map.choose(null));
  element("select-all").addEventListener("click", () => select(found.ids));
  element("select-none").addEventListener("click", () => select([]));
  for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button.dataset.act));
  await Promise.all([showMap(), search()]);
}

function offer(name, choices) {
  filters[name].replaceChildren(new Option(t("all"), ""), ...choices.map(([value, words]) => new Option(words, value)));
}

const map = new PoolMap(element("map"), (drawn) => {
  region = drawn;
  soon();
});

async function showMap() {
  const plane = await get("/api/pool/map");
  map.show(plane);
  const present = plane.marks.filter((_, index) => plane.points.some((point) => point[2] === index));
  element("legend").replaceChildren(...present.map((name) => html("li", {}, markOf(name), STATES[name])));
  element("map-words").textContent = plane.round === null
    ? t("There is no map before the model has looked at the pool.")
    : [aboutThe(plane), plane.drawn < plane.all ? t`${amount(plane.drawn)} of them are drawn; a region finds all that lie in it.` : ""].join(" ").trim();
}

function aboutThe(plane) {
  return t`The ${amount(plane.all)} images that the model looked at after round ${plane.round}, in the two directions in which its embeddings vary most (${percent(plane.explained)} of the variance). Images labelled before are not on it.`;
}

function soon() {
  forget(); // what is shown was found by other filters
  clearTimeout(timer);
  timer = setTimeout(() => {
    page = 0;
    search();
  }, WAIT_MS);
}

function turn(by) {
  page += by;
  search();
}

async function search() {
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value !== ""));
  for (const edge of region ?? []) query.append("region", edge);
  query.set("page", page);
  const mine = ++asked;
  try {
    const reply = await get(`/api/pool/images?${query}`);
    if (mine !== asked) return; // a later search is under way
    found = reply;
    show();
  } catch (error) {
    if (mine !== asked) return;
    forget(); // so that nothing is acted upon until a search succeeds
    element("images").replaceChildren();
    element("found").textContent = error.message;
  }
}

/** What was found last is not what is looked for now, nor what a search under way will bring; what is selected stays so. */
function forget() {
  asked++;
  found = null;
  count();
}

function show() {
  const words = found.total === 1 ? t("One image found.") : t`${amount(found.total)} images found.`;
  element("found").textContent = region ? `${words} ${t("Only those in the region.")}` : words;
  element("images").replaceChildren(...found.items.map(pick));
  element("page").textContent = found.pages ? t`Page ${amount(page + 1)} of ${amount(found.pages)}` : "";
  element("earlier").disabled = page === 0;
  element("later").disabled = page + 1 >= found.pages;
  count();
}

function pick(image) {
  const box = html("input", { type: "checkbox", "aria-label": t`Select ${image.image_id}` });
  box.checked = chosen.has(image.image_id);
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(image.image_id);
    else chosen.delete(image.image_id);
    count();
  });
  const picture = html("img", { src: thumbnail(image.image_id), alt: "", loading: "lazy", decoding: "async" });
  const use = image.state in SPLITS ? "" : SPLITS[image.split];
  const state = [STATES[image.state], use, image.suspect ? STATES.suspect : "", image.wanted ? STATES.wanted : ""].filter(Boolean).join(", ");
  const known = [image.round === null ? "" : t`Round ${image.round}`, image.person, image.score === null ? "" : t`score ${fixed(image.score, 3)}`];
  const link = html("a", { class: "shot", href: `/?open=${encodeURIComponent(image.image_id)}`, title: image.image_id }, picture, html("b", {}, image.image_id));
  const line = (words) => html("span", { class: "mark-line" }, words);
  const names = image.labels.map((label) => classes[label].name).join(", ");
  return html("div", { class: "pick" }, box, link, line(state), line(known.filter(Boolean).join(" · ")), line(names));
}

function select(ids) {
  chosen.clear();
  for (const id of ids) chosen.add(id);
  if (found) show();
  else count();
}

function count() {
  element("selected").textContent = t`${amount(chosen.size)} selected`;
  element("select-all").disabled = acting || !found?.total;
  element("select-none").disabled = acting || !chosen.size;
  for (const button of document.querySelectorAll("[data-act]")) button.disabled = acting || !found || !chosen.size;
}

async function act(name) {
  const reason = element("reason").value.trim();
  if (["skip", "flag"].includes(name) && !reason) {
    element("done").textContent = t("Give a reason first.");
    return element("reason").focus();
  }
  acting = true;
  count();
  try {
    const annotator = naming.given();
    if (!annotator) return undefined;
    const { done, refused } = await actInParts({ annotator, act: name, ...(reason ? { reason } : {}) });
    const why = refused.slice(0, 5).map(reasonOf);
    await Promise.all([showMap(), search()]);
    element("done").textContent = [doneFor(done, refused.length), ...why].join("\n");
  } catch (error) {
    element("done").textContent = error.message;
  } finally {
    acting = false;
    count();
  }
  return undefined;
}

/** Acts on the selected images, some at a time; those that are through are selected no more. Raises ApiError. */
async function actInParts(body) {
  const ids = [...chosen], all = { done: 0, refused: [] };
  try {
    for (let start = 0; start < ids.length; start += AT_ONCE) {
      const part = ids.slice(start, start + AT_ONCE);
      if (start) element("done").textContent = t`${amount(start)} of ${amount(ids.length)} images are through.`;
      const { done, refused } = await post("/api/pool/acts", { ...body, image_ids: part });
      all.done += done;
      all.refused.push(...refused);
      for (const id of part) chosen.delete(id);
    }
  } finally {
    select([...chosen]);
  }
  return all;
}

function doneFor(done, refused) {
  if (!refused) return done === 1 ? t("Done for one image.") : t`Done for ${amount(done)} images.`;
  return done === 1 ? t`Done for one image, not for ${amount(refused)}.` : t`Done for ${amount(done)} images, not for ${amount(refused)}.`;
}

await begin();
