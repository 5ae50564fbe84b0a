// What went wrong, in plain words, with the code and a link to the list of errors.

import {byId, el} from "./dom.js";

const shown = new Map();
// The topics of what could not be read because the server, or one that it needs, was away.
const away = new Set();

/**
 * Show a refusal until it is dismissed or `settled` by its topic. Calls that were given up are no faults. isRead: what failed is
 * read again when the server is back.
 */
export function complain(topic, error, {isRead = true} = {}) {
  if (error.name === "AbortError") return;
  if (isRead && (error.code === "unreachable" || [502, 503, 504].includes(error.status))) away.add(topic);
  else away.delete(topic);
  const dismiss = el("button", {type: "button", "aria-label": "Dismiss this message", onclick: () => settled(topic)}, "×");
  const item = el("p", {class: "message"}, el("span", {}, `${topic}: ${error.message} `, codeLink(error)), dismiss);
  shown.get(topic)?.remove();
  shown.set(topic, item);
  byId("messages").append(item);
}

/** A refusal's code as a link to what it means; null if it has none. */
export function codeLink({code}) {
  return /^[a-z_]+$/.test(code ?? "") && code !== "unreachable" ? el("a", {href: `/docs/errors#${code}`}, code) : null;
}

/** Take a topic's message away. */
export function settled(topic) {
  shown.get(topic)?.remove();
  shown.delete(topic);
  away.delete(topic);
}

/** Whether something was not read because the server was away; of one topic if it is given. */
export const wasAway = (topic) => (topic ? away.has(topic) : away.size > 0);

/** Write sentences into a place, only if they are others: what stays is not spoken again. */
export function say(id, sentences) {
  const place = byId(id);
  if ([...place.childNodes].map(({textContent}) => textContent).join("\n") === sentences.join("\n")) return;
  place.replaceChildren(...(sentences.length > 1 ? sentences.map((text) => el("p", {}, text)) : sentences));
}

/** Say something to screen readers, and show it beside the chart. */
export function note(text) {
  byId("note").textContent = text;
}
