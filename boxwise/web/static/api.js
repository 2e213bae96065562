// Requests to the server: JSON in, JSON out, and one kind of error.
// Knows addresses and HTTP; nothing of boxes or pages. Sending again is left to the outbox. Messages are in the reader's language.

import { reasonOf, t } from "./words.js";

const PATIENCE_MS = 20_000;
/** For what a model computes, which may have to be loaded first. */
export const MODELS_MS = 120_000;

/** A request that did not succeed. status: of HTTP; 0 when nothing came back. */
export class ApiError extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }

  /**
   * Whether the same request may succeed later: no network, a server that restarts or is busy, a session to be opened again. A 403 with a
   * code is the study's own, about what this person may not do; one without is a proxy's, which asks to sign in.
   */
  get passing() {
    return this.status === 403 ? !this.body.code : mayPass(this.status);
  }
}

/** Whether a reply of this status may be another one later; 0: none came. */
export function mayPass(status) {
  return [0, 401, 403, 408, 429].includes(status) || status >= 500;
}

/**
 * One request. Raises ApiError.
 * @param {"GET"|"POST"|"PUT"} method
 * @param {{last?: boolean, patience?: number}} options last: the page is going away; the browser sends it all the same.
 *   patience: how long an answer is waited for, milliseconds
 */
export async function request(method, path, body, { last = false, patience = PATIENCE_MS } = {}) {
  const options = { method, cache: "no-store", keepalive: last, signal: AbortSignal.timeout(patience) };
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw new ApiError(0, t("The server does not answer."), { cause: String(error) });
  }
  const reply = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, reply?.error ? reasonOf(reply) : t`The server answered ${response.status}.`, reply ?? {});
  if (reply === null) throw new ApiError(0, t("The server's answer was cut off."));
  return reply;
}

export const get = (path) => request("GET", path);
export const post = (path, body, options) => request("POST", path, body, options);
export const put = (path, body, options) => request("PUT", path, body, options);

/** The address of an image's thumbnail; ids may hold slashes and anything else. */
export function thumbnail(imageId) {
  return `/thumbnails/${inPath(imageId)}`;
}

/** An image's id as the end of an address. */
export function inPath(imageId) {
  return imageId.split("/").map(encodeURIComponent).join("/");
}

/** A random name for one submission; crypto.randomUUID is missing on pages served over plain HTTP to other machines. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
