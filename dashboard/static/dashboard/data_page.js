// The forms of data pages. Empty inputs of a query are not sent; a body is sent with the chosen content type, and the
// answer takes the page's place. A call that takes something away is asked for first. Listeners are on the document,
// because the content of the page changes.

import {ask} from "./ask.js";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches(".query-form")) leaveOutEmpty(form);
  if (form.matches(".send-form")) {
    event.preventDefault();
    send(form);
  }
});

// A page that is opened again from the browser's history has its inputs back.
window.addEventListener("pageshow", () => {
  for (const input of document.querySelectorAll(".query-form :disabled")) input.disabled = false;
});

function leaveOutEmpty(form) {
  for (const input of form.elements) {
    if (input.name && input.value === "") input.disabled = true;
  }
}

// A body that is sent again before it was answered with success has the same key, so that it is stored once.
function keyOf(form, body = "") {
  if (form.sent?.body !== body) {
    const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)));
    form.sent = { body, key: bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  return form.sent.key;
}

async function send(form) {
  const {dataset: {question}, ariaLabel: title} = form;
  if (question && !(await ask({title: `${title}?`, text: question, yes: title, no: "Keep", kind: "danger"}))) return;
  const button = form.querySelector("button");
  button.disabled = true;
  const headers = { Accept: "text/html", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const options = { method: form.dataset.method, headers, credentials: "same-origin" };
  if (form.elements._content) {
    headers["Content-Type"] = form.elements._content_type.value;
    options.body = form.elements._content.value;
  }
  if (options.method === "POST") headers["Idempotency-Key"] = keyOf(form, options.body);
  try {
    const answer = await fetch(form.getAttribute("action"), options);
    const text = await answer.text();
    if (answer.ok) delete form.sent;
    show(form, text);
  } catch {
    tell(form, "The server could not be reached: try again.");
  } finally {
    button.disabled = false;
  }
}

function show(form, text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const main = page.querySelector("main");
  if (main === null) {
    tell(form, text);
    return;
  }
  keepInputs(form, main.querySelector(`.send-form[data-method=${form.dataset.method}]`));
  document.title = page.title;
  document.querySelector("main").replaceWith(main);
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus();
  window.scrollTo(0, 0);
}

// The form beside the answer has what was sent, so that it can be mended and sent again.
function keepInputs(form, next) {
  if (next === null) return;
  next.sent = form.sent;
  if (!form.elements._content || !next.elements._content) return;
  next.elements._content_type.value = form.elements._content_type.value;
  next.elements._content.value = form.elements._content.value;
}

function tell(form, text) {
  form.querySelector("[role=alert]")?.remove();
  const alert = document.createElement("p");
  alert.setAttribute("role", "alert");
  alert.className = "problem";
  alert.textContent = text;
  form.append(alert);
}
