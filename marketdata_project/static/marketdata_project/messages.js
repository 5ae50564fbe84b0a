// What went wrong, in plain words, with the code and a link to the list of errors.

import {byId, el} from "./dom.js";

const shown = new Map();

/** Show a refusal until it is dismissed or `settled` by its topic. Calls that were given up are no faults. */
export function complain(topic, error) {
  if (error.name === "AbortError") return;
  const code = error.code ?? "error";
  const link = /^[a-z_]+$/.test(code) && !["unreachable", "error"].includes(code)
    ? el("a", {href: `/docs/errors#${code}`}, code) : null;
  const dismiss = el("button", {type: "button", "aria-label": "Dismiss this message", onclick: () => settled(topic)}, "×");
  const item = el("p", {class: "message"}, el("span", {}, `${topic}: ${error.message} `, link), dismiss);
  shown.get(topic)?.remove();
  shown.set(topic, item);
  byId("messages").append(item);
}

/** Take a topic's message away. */
export function settled(topic) {
  shown.get(topic)?.remove();
  shown.delete(topic);
}

/** Say something to screen readers, and show it beside the chart. */
export function note(text) {
  byId("note").textContent = text;
}
