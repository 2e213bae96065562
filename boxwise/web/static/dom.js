// Elements of the pages: found by id, made with attributes and text, and the few small ones that several parts show.
// Strings become text, so that no name is ever read as markup. Knows nothing of studies.

export const element = (id) => document.getElementById(id);

/** An element of HTML. @param {Record<string, string | number>} [attributes] @param {...(Node | string | null | undefined)} children */
export function html(tag, attributes = {}, ...children) {
  return completed(document.createElement(tag), attributes, children);
}

/** An element of SVG. @param {Record<string, string | number>} [attributes] @param {...(Node | string | null | undefined)} children */
export function svg(tag, attributes = {}, ...children) {
  return completed(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function completed(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The colour of a class; drawn, so that it stays where backgrounds do not, as in print and under the reader's own colours. */
export function swatch(color) {
  return svg("svg", { class: "swatch", viewBox: "0 0 1 1", "aria-hidden": "true" }, svg("rect", { width: 1, height: 1, fill: color }));
}

/** A name that is cut where it is too long; its title has all of it. */
export function nameOf(name) {
  return html("span", { class: "name", title: name }, name);
}

/** Puts words into an element, which is hidden while there are none. */
export function say(id, words) {
  element(id).textContent = words;
  element(id).hidden = !words;
}
