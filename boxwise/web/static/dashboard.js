// The dashboard: asks the server for its figures now and then, and shows them.
// Names of classes, files and people reach the page as text only.

import { bars, histogram, lineChart } from "./dashboard.charts.js";
import { budget, forecast, offerForecast, outdated } from "./dashboard.outlook.js";
import { putAside, teamParts } from "./dashboard.team.js";
import { element, html, svg, swatch } from "./dom.js";
import { amount, duration, figure, fixed, signed } from "./figures.js";
import { offerLanguages, t, translate } from "./words.js";

const SECONDS_BETWEEN_LOOKS = 15;
const ENOUGH_IMAGES = 30; // as the commands have it
let shown = "";

async function refresh() {
  try {
    const reply = await fetch("/api/dashboard");
    const found = await reply.text();
    if (!reply.ok) throw new Error(JSON.parse(found).error);
    if (found !== shown) {
      show(JSON.parse(found));
      forecast();
    }
    shown = found;
    await showTeam(JSON.parse(found));
  } catch (error) {
    element("summary").textContent = t`Not up to date: ${error.message}`;
    shown = "";
  }
}

function show(study) {
  document.title = `${study.name} · ${t("Dashboard")} · boxwise`;
  element("name").textContent = study.name;
  element("summary").textContent = study.phase === "done"
    ? t`The study is done after round ${study.round}.` : t`Round ${study.round} of ${study.rounds}, next: ${stepName(study.phase)}.`;
  element("to-review").hidden = !study.team;
  element("trouble").hidden = !study.trouble;
  element("trouble-words").textContent = study.trouble ? t`Training has stopped: ${study.trouble}` : "";
  element("trouble-command").textContent = study.goes_on_by;
  fill("figures", figures(study));
  fill("budget", budget(study));
  fill("next", nextBatch(study));
  fill("quality", [outdated(study), ...qualityCharts(study)], t("No round has been evaluated on val yet."));
  fill("people", people(study.labour), t("No labels have been given yet."));
  fill("aside", putAside(study, table));
  element("aside-section").hidden = !study.sent_back.length && !study.skipped.length;
  fill("balance", balance(study));
  fill("histograms", histograms(study), t("The pool has no scores: it has not been looked at yet, or this study's strategy goes by none."));
  fill("worst", study.worst.map(worstShot), t("Nothing on val is wrong, or nothing has been evaluated yet."));
  fill("suspects", study.suspects.map((suspect) => suspectShot(suspect, study.classes)), t("No label is in doubt."));
}

async function showTeam({ team }) {
  fill("team", team ? await teamParts(table) : []);
  element("team-section").hidden = !element("team").querySelector("table");
}

function fill(id, parts, otherwise = "") {
  const found = parts.filter(Boolean);
  element(id).replaceChildren(...(found.length ? found : [html("p", { class: "soft" }, otherwise)]));
}

function figures({ labour, quality }) {
  const last = quality.at(-1);
  const values = [
    [amount(labour.images), t("images labelled")],
    [amount(labour.boxes), t("boxes by people")],
    ...(labour.model_boxes ? [[amount(labour.model_boxes), t("boxes by the model")]] : []),
    [duration(labour.seconds), t("of labelling")],
    ...(last ? [[figure(last.ap), t`AP, ${judgedOn(last)}${range(last.ap_range)}`], [figure(last.ap50), t`AP50, ${judgedOn(last)}${range(last.ap50_range)}`],
      [amount(last.val_images), last.val_images < ENOUGH_IMAGES ? t`images say so: fewer than ${ENOUGH_IMAGES} say little` : t("images say so")]] : []),
  ];
  return values.map(([value, name]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)));
}

// What the AP is of: val, or a cross-validation in so many folds.
function judgedOn({ judged_on: judged }) {
  const folds = judged.match(/\d+/);
  return folds ? t`cross-validation in ${folds[0]} folds` : t("on val");
}

// The 95% interval of an AP over val's images, as a clause.
function range(limits) {
  return limits ? t`, ${fixed(limits[0], 2)} to ${fixed(limits[1], 2)}` : "";
}

function nextBatch({ next, stop }) {
  const advice = { "stop": t("Consider stopping."), "go on": t("Go on."), "unknown": t("Too early to tell.") }[stop.advice];
  const parts = [html("p", { class: "lede" }, advice)];
  if (next) {
    const price = next.seconds === null ? "" : t`It takes about ${duration(next.seconds)} (${fixed(next.seconds_each, 1)} s each).`;
    const gain = t`The next ${amount(next.batch)} ${unitName(next.unit)} are expected to add ${signed(next.gain)} AP on val, with a chance of 80% between ${signed(next.low)} and ${signed(next.high)}.`;
    parts.push(html("p", {}, [gain, price].filter(Boolean).join(" ")));
  }
  const rules = stop.rules.map((rule) => html("div", { class: `rule ${style(rule.advice)}` },
    html("h3", {}, t(rule.name), html("span", { class: `tag ${style(rule.advice)}` }, { "stop": t("yes"), "go on": t("no"), "unknown": t("not known") }[rule.advice])),
    html("p", {}, t(rule.why, ...rule.values))));
  return [...parts, html("div", { class: "rules" }, ...rules)];
}

function qualityCharts({ quality, next }) {
  return ["images", "boxes", "seconds"].map((axis) => {
    const along = { seconds: t("hours of labelling"), images: t("labelled images"), boxes: t("labelled boxes") }[axis];
    const at = (point) => (axis === "seconds" ? point.seconds / 3600 : point[axis]);
    const lines = ["ap", "ap50"].map((metric, row) =>
      ({ points: quality.map((point) => [at(point), point[metric]]), style: row ? "second" : "first", marks: true }));
    const ahead = next && next.unit === axis ? next : null;
    if (ahead) lines.push({ points: ahead.curve, style: "expected" });
    const [end, ap] = ahead ? ahead.curve.at(-1) : [0, 0];
    const judged = quality.filter((point) => point.ap_range).map((point) => ({ x: at(point), low: point.ap_range[0], high: point.ap_range[1] }));
    const ranges = ahead ? [...judged, { x: end, low: ap - ahead.gain + ahead.low, high: ap - ahead.gain + ahead.high }] : judged;
    const chart = lineChart({ lines, ranges, xName: along, yName: "", description: t`AP and AP50 on val over ${along}` });
    const keys = [key("AP", ""), key("AP50", "second"), judged.length ? key(t("AP's 95% interval over val's images"), "interval") : null,
      ahead && key(t("expected AP, 80% range"), "expected")];
    return chart && html("figure", {}, chart, html("figcaption", {}, ...keys));
  });
}

function key(name, kind) {
  return html("span", { class: `key ${kind}` }, name);
}

function people({ people }) {
  if (!people) return [html("p", { class: "soft" }, t("What each person has done is for the lead."))];
  if (!people.length) return [];
  const rows = people.map((one) => [one.name, amount(one.images), duration(one.seconds), one.each === null ? "–" : t`${fixed(one.each, 1)} s`]);
  return [table([t("person"), t("images"), t("time"), t("per image")], rows)];
}

function balance({ balance, classes }) {
  const most = { labelled: Math.max(...balance.map((one) => one.labelled)), found: Math.max(...balance.map((one) => one.found ?? 0)) };
  const scored = balance.some((one) => one.found !== null);
  const rows = balance.map((one, row) => {
    const amounts = [amount(one.labelled), ...(scored ? [amount(one.found)] : [])];
    const shares = [["labelled", one.labelled / Math.max(1, most.labelled)], ...(scored ? [["found", one.found / Math.max(1, most.found)]] : [])];
    return [html("span", {}, swatch(classes[row].color), one.name), ...amounts, bars(shares, 1)];
  });
  return [table([t("class"), t("labelled boxes"), ...(scored ? [t("detected in the pool")] : []), ""], rows)];
}

function histograms({ histograms }) {
  return histograms.map(({ name, counts, edges }) => html("figure", {},
    histogram({ counts, edges, xName: name, description: t`Histogram of ${name} over the pool` }),
    html("figcaption", {}, name === "score" ? t("What the last query was chosen by; higher is worth more to label.") : t`Its term ${name}.`)));
}

function worstShot(image) {
  const faults = [[t("missed"), image.missed], [t("imagined"), image.imagined], [t("of the wrong class"), image.confused]].filter(([, amount]) => amount);
  return shot(image, null, faults.map(([name, amount]) => `${amount} ${name}`).join(", "));
}

function suspectShot(suspect, classes) {
  const name = (label) => classes[label].name;
  const why = {
    missing: () => t`${name(suspect.found)} (${figure(suspect.strength)}) has no label`,
    class: () => t`labelled ${name(suspect.label)}, looks like ${name(suspect.found)} (${figure(suspect.strength)})`,
    unseen: () => t`nothing seen where ${name(suspect.label)} is labelled`,
  }[suspect.doubt]();
  return shot(suspect, suspect.xyxy, `${suspect.split}: ${why}`);
}

function shot({ image_id, width, height }, xyxy, text) {
  const id = encodeURIComponent(image_id);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": image_id },
    svg("image", { href: `/thumbnails/${id}`, width, height, preserveAspectRatio: "none" }));
  if (xyxy) {
    const [x1, y1, x2, y2] = xyxy;
    const box = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    picture.append(svg("rect", { ...box, class: "behind" }), svg("rect", box));
  }
  return html("a", { class: "shot", href: `/?open=${id}`, title: image_id }, picture, html("b", {}, image_id), html("span", { class: "soft" }, text));
}

function table(head, rows) {
  const heads = head.map((name) => (name ? html("th", { scope: "col" }, name) : html("td")));
  const body = rows.map((row) => html("tr", {}, ...row.map((value) => html("td", {}, value))));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": head.filter(Boolean).join(", ") }, html("table", {}, html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...body)));
}

const style = (advice) => advice.replace(" ", "-");

function unitName(unit) {
  return { images: t("images"), boxes: t("boxes"), seconds: t("seconds") }[unit];
}

function stepName(phase) {
  return {
    select: t("Choosing images"), annotate: t("Labelling"), audit: t("Checking the scores"), compose: t("Composing the training set"),
    train: t("Training"), evaluate: t("Evaluating"), score: t("Scoring the pool"),
  }[phase];
}

translate(document.body);
offerLanguages(element("language"));
offerForecast();
await refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000 * SECONDS_BETWEEN_LOOKS);
