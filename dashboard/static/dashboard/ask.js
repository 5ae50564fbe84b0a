// Questions before something is done that cannot be taken back: a dialog with a few fields.

import {el} from "./dom.js";

/**
 * Ask a person. fields: attributes of inputs with `name` and `label`, and `note` for what may be entered. kind: `danger`
 * for what takes something away.
 * @returns {Promise<object | null>} what was entered, by name; null if it was cancelled.
 */
export function ask({title, text, fields = [], yes, no = "Cancel", kind = "primary"}) {
  const paragraphs = [text].flat().map((each) => el("p", {}, each));
  const confirm = el("button", {type: "submit", value: "yes", class: kind}, yes);
  const cancel = el("button", {type: "submit", value: "no", formnovalidate: true}, no);
  const form = el("form", {method: "dialog"}, el("h2", {id: "ask-title"}, title), ...paragraphs, ...fields.map(field),
    el("p", {class: "buttons"}, confirm, cancel));
  const dialog = el("dialog", {"aria-labelledby": "ask-title"}, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null);
    });
  });
}

function field({label, note, ...attributes}) {
  const id = `ask-${attributes.name}`;
  return el("p", {}, el("label", {for: id}, label), el("input", {id, autocomplete: "off", ...attributes}), note ? el("small", {}, note) : null);
}
