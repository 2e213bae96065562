// The dashboard: asks the server for its figures now and then, and shows them.
// Names of classes, files and people reach the page as text only.

import { bars, histogram, html, lineChart, svg } from "/static/dashboard.charts.js";

const SECONDS_BETWEEN_LOOKS = 15;
const ENOUGH_IMAGES = 30; // as the commands have it
const place = (id) => document.getElementById(id);
let shown = "";

async function refresh() {
  try {
    const reply = await fetch("/api/dashboard");
    const found = await reply.text();
    if (!reply.ok) throw new Error(JSON.parse(found).error);
    if (found !== shown) show(JSON.parse(found));
    shown = found;
  } catch (error) {
    place("summary").textContent = `Not up to date: ${error.message}`;
    shown = "";
  }
}

function show(study) {
  document.title = `${study.name} · dashboard · boxwise`;
  place("name").textContent = study.name;
  place("summary").textContent = study.phase === "done"
    ? `The study is done after round ${study.round}.` : `Round ${study.round} of ${study.rounds}, next: ${study.phase}.`;
  place("trouble").hidden = !study.trouble;
  place("trouble-words").textContent = study.trouble ? `Training has stopped: ${study.trouble}` : "";
  place("trouble-study").textContent = study.name;
  fill("figures", figures(study));
  fill("next", nextBatch(study));
  fill("quality", qualityCharts(study), "No round has been evaluated on val yet.");
  fill("people", people(study.labour), "No labels have been given yet.");
  fill("balance", balance(study));
  fill("histograms", histograms(study), "The pool has not been scored yet.");
  fill("worst", study.worst.map(worstShot), "Nothing on val is wrong, or nothing has been evaluated yet.");
  fill("suspects", study.suspects.map((suspect) => suspectShot(suspect, study.classes)), "No label is in doubt.");
}

function fill(id, parts, otherwise = "") {
  const found = parts.filter(Boolean);
  place(id).replaceChildren(...(found.length ? found : [html("p", { class: "soft" }, otherwise)]));
}

function figures({ labour, quality }) {
  const last = quality.at(-1);
  const values = [
    [labour.images.toLocaleString("en"), "images labelled"],
    [labour.boxes.toLocaleString("en"), "boxes by people"],
    ...(labour.model_boxes ? [[labour.model_boxes.toLocaleString("en"), "boxes by the model"]] : []),
    [duration(labour.seconds), "of labelling"],
    ...(last ? [[figure(last.ap), `AP, ${last.judged_on}${range(last.ap_range)}`], [figure(last.ap50), `AP50, ${last.judged_on}${range(last.ap50_range)}`],
      [last.val_images.toLocaleString("en"), last.val_images < ENOUGH_IMAGES ? `images say so: fewer than ${ENOUGH_IMAGES} say little` : "images say so"]] : []),
  ];
  return values.map(([value, name]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)));
}

// The 95% interval of an AP over val's images, as a clause.
function range(limits) {
  return limits ? `, ${limits[0].toFixed(2)} to ${limits[1].toFixed(2)}` : "";
}

function nextBatch({ next, stop }) {
  const advice = { "stop": "Consider stopping.", "go on": "Go on.", "unknown": "Too early to tell." }[stop.advice];
  const parts = [html("p", { class: "lede" }, said)];
  if (next) {
    const price = next.seconds === null ? "" : ` It takes about ${duration(next.seconds)} (${next.seconds_each.toFixed(1)} s each).`;
    parts.push(html("p", {}, `The next ${next.batch.toLocaleString("en")} ${next.unit} are expected to add ${signed(next.gain)} AP on val, ` +
      `with a chance of 80% between ${signed(next.low)} and ${signed(next.high)}.${price}`));
  }
  const rules = stop.rules.map((rule) => html("div", { class: `rule ${style(rule.advice)}` },
    html("h3", {}, rule.name, html("span", { class: `tag ${style(rule.advice)}` }, { "stop": "yes", "go on": "no", "unknown": "not known" }[rule.advice])),
    html("p", {}, rule.why)));
  return [...parts, html("div", { class: "rules" }, ...rules)];
}

function qualityCharts({ quality, next }) {
  return ["images", "boxes", "seconds"].map((axis) => {
    const along = axis === "seconds" ? "hours of labelling" : `labelled ${axis}`;
    const at = (point) => (axis === "seconds" ? point.seconds / 3600 : point[axis]);
    const lines = ["ap", "ap50"].map((metric, row) =>
      ({ points: quality.map((point) => [at(point), point[metric]]), style: row ? "second" : "first", marks: true }));
    const ahead = next && next.unit === axis ? next : null;
    if (ahead) lines.push({ points: ahead.curve, style: "expected" });
    const [end, ap] = ahead ? ahead.curve.at(-1) : [0, 0];
    const judged = quality.filter((point) => point.ap_range).map((point) => ({ x: at(point), low: point.ap_range[0], high: point.ap_range[1] }));
    const ranges = ahead ? [...judged, { x: end, low: ap - ahead.gain + ahead.low, high: ap - ahead.gain + ahead.high }] : judged;
    const chart = lineChart({ lines, ranges, xName: along, yName: "", description: `AP and AP50 on val over ${along}` });
    const keys = [key("AP", ""), key("AP50", "second"), judged.length ? key("AP's 95% interval over val's images", "interval") : null,
      ahead && key("expected AP, 80% range", "expected")];
    return chart && html("figure", {}, chart, html("figcaption", {}, ...keys));
  });
}

function key(name, kind) {
  return html("span", { class: `key ${kind}` }, name);
}

function people({ people }) {
  if (!people.length) return [];
  const rows = people.map((one) => [one.name, one.images.toLocaleString("en"), duration(one.seconds), `${one.each.toFixed(1)} s`]);
  return [table(["person", "images", "time", "per image"], rows)];
}

function balance({ balance, classes }) {
  const most = { labelled: Math.max(...balance.map((one) => one.labelled)), found: Math.max(...balance.map((one) => one.found ?? 0)) };
  const scored = balance.some((one) => one.found !== null);
  const rows = balance.map((one, row) => {
    const swatch = svg("svg", { class: "swatch", viewBox: "0 0 1 1", "aria-hidden": "true" }, svg("rect", { width: 1, height: 1, fill: classes[row].color }));
    const amounts = [one.labelled.toLocaleString("en"), ...(scored ? [one.found.toLocaleString("en")] : [])];
    const shares = [["labelled", one.labelled / Math.max(1, most.labelled)], ...(scored ? [["found", one.found / Math.max(1, most.found)]] : [])];
    return [html("span", {}, swatch, one.name), ...amounts, bars(shares, 1)];
  });
  return [table(["class", "labelled boxes", ...(scored ? ["detected in the pool"] : []), ""], rows)];
}

function histograms({ histograms }) {
  return histograms.map(({ name, counts, edges }) => html("figure", {},
    histogram({ counts, edges, xName: name, description: `Histogram of ${name} over the pool` }),
    html("figcaption", {}, name === "score" ? "What the last query was chosen by; higher is worth more to label." : `Its term ${name}.`)));
}

function worstShot(image) {
  const faults = [["missed", image.missed], ["imagined", image.imagined], ["of the wrong class", image.confused]].filter(([, amount]) => amount);
  return shot(image, null, faults.map(([name, amount]) => `${amount} ${name}`).join(", "));
}

function suspectShot(suspect, classes) {
  const name = (label) => classes[label].name;
  const why = {
    missing: () => `${name(suspect.found)} (${figure(suspect.strength)}) has no label`,
    class: () => `labelled ${name(suspect.label)}, looks like ${name(suspect.found)} (${figure(suspect.strength)})`,
    unseen: () => `nothing seen where ${name(suspect.label)} is labelled`,
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
  const heads = head.map((name) => html("th", { scope: "col" }, name));
  const body = rows.map((row) => html("tr", {}, ...row.map((value) => html("td", {}, value))));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": head.filter(Boolean).join(", ") }, html("table", {}, html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...body)));
}

const style = (advice) => advice.replace(" ", "-");
const figure = (value) => (value === null ? "–" : value.toFixed(3));
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

function duration(seconds) {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

await refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000 * SECONDS_BETWEEN_LOOKS);
