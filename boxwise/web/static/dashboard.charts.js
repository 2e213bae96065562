// Small SVG charts. Takes numbers and class names of the style sheet, returns elements. Knows nothing of studies.

import { svg } from "./dom.js";
import { amount } from "./figures.js";
import { t } from "./words.js";

const WIDTH = 320, HEIGHT = 200, LEFT = 44, RIGHT = 10, TOP = 10, BOTTOM = 36;

// lines: [{points: [[x, y], ...], style, marks}]; ranges: [{x, low, high}]. Values that are not known are left out.
export function lineChart({ lines, ranges = [], xName, yName, description }) {
  const points = lines.flatMap((line) => known(line.points));
  if (!points.length) return null;
  const ys = [...points.map((p) => p[1]), ...ranges.flatMap((r) => [r.low, r.high])];
  const x = scale(points.map((p) => p[0]), LEFT, WIDTH - RIGHT);
  const y = scale(ys, HEIGHT - BOTTOM, TOP);
  const chart = frame(description, x, y, xName, yName);
  for (const range of ranges) {
    chart.append(svg("line", { class: "range", x1: x(range.x), x2: x(range.x), y1: y(range.low), y2: y(range.high) }));
  }
  for (const line of lines) {
    const shown = known(line.points).map(([a, b]) => [x(a), y(b)]);
    chart.append(svg("polyline", { class: line.style, points: shown.map((p) => p.join(",")).join(" ") }));
    if (line.marks) chart.append(...shown.map(([cx, cy]) => svg("circle", { class: line.style, cx, cy, r: 3.5 })));
  }
  return chart;
}

export function histogram({ counts, edges, xName, description }) {
  const x = scale(edges, LEFT, WIDTH - RIGHT);
  const y = scale([0, ...counts], HEIGHT - BOTTOM, TOP);
  const chart = frame(description, x, y, xName, t("images"));
  counts.forEach((count, row) => {
    const left = x(edges[row]), width = Math.max(0.5, x(edges[row + 1]) - left - 1);
    chart.append(svg("rect", { class: "bar", x: left, y: y(count), width, height: y(0) - y(count) }));
  });
  return chart;
}

// Two thin bars beneath one another, as shares of `most`.
export function bars(values, most) {
  const rows = values.map(([style, value], row) =>
    svg("rect", { class: style, x: 0, y: row * 6, width: most > 0 ? (100 * value) / most : 0, height: 5 }));
  return svg("svg", { viewBox: "0 0 100 11", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rows);
}

function known(points) {
  return points.filter((point) => point.every((value) => value !== null && Number.isFinite(value)));
}

function frame(description, x, y, xName, yName) {
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": description });
  for (const tick of y.ticks) {
    chart.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
    chart.append(svg("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, shortNumber(tick)));
  }
  for (const tick of x.ticks) {
    chart.append(svg("text", { x: x(tick), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, shortNumber(tick)));
  }
  const floor = HEIGHT - BOTTOM;
  chart.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor }));
  chart.append(svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, xName));
  chart.append(svg("text", { x: 11, y: (TOP + floor) / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${(TOP + floor) / 2})` }, yName));
  return chart;
}

// Linear, with round ticks that lie inside; a single value gets room on both sides, but none below zero where nothing is.
function scale(values, from, to) {
  let low = Math.min(...values), high = Math.max(...values);
  if (high - low < 1e-9) [low, high] = [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  if (Math.min(...values) >= 0) low = Math.max(0, low);
  const step = roundStep((high - low) / 4);
  const at = (value) => from + ((value - low) / (high - low)) * (to - from);
  at.ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) at.ticks.push(k * step);
  return at;
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
}

function shortNumber(value) {
  return amount(Number(value.toPrecision(4)), { maximumFractionDigits: 4 });
}
