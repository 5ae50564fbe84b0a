// The page /import: sends the chosen file as an upload, shows what it would become, and stores it when that is confirmed.

import {reached, refusalOf} from "./api.js";
import {byId, el, number} from "./dom.js";
import {pause, stoppedJob} from "./jobs.js";

const PIECE_BYTES = 8 * 2 ** 20;
const [MOST_TRIES, PAUSE_MS] = [5, 2000];
// Errors after which the upload goes on where the server says.
const RESUMABLE = ["unreachable", "upload_busy", "upload_offset_mismatch"];
const MOST_SYMBOLS = 200;
// What the API takes beside the options.
const OF_UPLOAD = ["dataset", "symbol"];

const form = document.querySelector(".import-form");
const answer = byId("answer");
// The job whose preview is shown.
let asking = null;

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(async () => {
    await giveUp();
    answer.replaceChildren();
    const job = await previewed(form.elements.file.files[0]);
    if (job.state === "needs_confirmation") showPreview(job);
    else showEnd(job);
  });
});

window.addEventListener("pagehide", () => giveUp());

async function previewed(file) {
  if (file.size === 0) throw new Error("The file is empty.");
  say(`Sending ${file.name} …`);
  const body = JSON.stringify({name: file.name, size: file.size, ...terms()});
  const {id} = await call("POST", "/ingest/batch", {body, headers: {"Content-Type": "application/json"}});
  await send(file, `/ingest/batch/${id}`);
  say(`Reading ${file.name} …`);
  return stopped(id);
}

/** The fields of the upload that the form has. */
function terms() {
  const [found, options] = [{}, {preview: true}];
  for (const input of form.elements) {
    if (!input.name || input.type === "file" || input.type === "hidden") continue;
    const value = input.value.trim();
    if (value) (OF_UPLOAD.includes(input.name) ? found : options)[input.name] = value;
  }
  for (const line of byId("more").value.split("\n")) {
    const [name, ...value] = line.trim().split("=");
    if (name) options[name.replace(/^-+/, "")] = value.length ? value.join("=") : true;
  }
  return {...found, options};
}

/** Send a file in pieces. After a cut it goes on where the server says. */
async function send(file, path) {
  for (let offset = 0, tries = 0, upload = {}; !upload.complete; ) {
    const body = file.slice(offset, offset + PIECE_BYTES);
    const headers = {"Content-Type": "application/octet-stream", "Upload-Offset": offset};
    try {
      upload = await call("PATCH", path, {body, headers});
      tries = 0;
    } catch (error) {
      if (!RESUMABLE.includes(error.code) || ++tries >= MOST_TRIES) throw error;
      await pause(PAUSE_MS);
      upload = await call("GET", path).catch(() => ({offset}));
    }
    ({offset} = upload);
    say(`Sending ${file.name}: ${percent(offset, file.size)} …`);
  }
}

/** The job when it has ended or asks. */
async function stopped(id, title = "Reading") {
  const read = () => call("GET", `/jobs/${id}`);
  return stoppedJob(await read(), read, ({state, progress: {done, total}}) => {
    say(state === "queued" ? "Waiting for the worker …" : `${title}: ${percent(done, total)} …`);
  });
}

/** Call the API as the page's login does. Waits when the limit is reached. */
async function call(method, path, {body, headers} = {}) {
  for (;;) {
    const always = {Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value};
    const found = await reached(`/api/v1${path}`, {method, body, headers: {...always, ...headers}});
    if (found.ok) return found.json();
    const refusal = await refusalOf(found);
    if (found.status !== 429) throw refusal;
    await pause(refusal.retryAfter * 1000);
  }
}

/** End the job that asks: another preview takes its place, or the page is left. */
async function giveUp() {
  const path = asking && `/api/v1/jobs/${asking.id}/cancel`;
  asking = null;
  const headers = {"X-CSRFToken": form?.elements.csrfmiddlewaretoken.value};
  // If it fails, the job ends by itself after a day.
  if (path) await fetch(path, {method: "POST", headers, credentials: "same-origin", keepalive: true}).catch(() => {});
}

function showPreview(job) {
  asking = job;
  const store = el("button", {type: "button", onclick: () => busy(() => confirmed(job))}, "Store these rows");
  const change = el("button", {type: "button", class: "quiet", onclick: () => busy(changed)}, "Change options");
  show("What would be stored", ...previewParts(job.preview), el("p", {class: "confirm"}, store, " ", change));
  say("Nothing is stored yet.");
}

async function confirmed({id}) {
  say("Storing …");
  await call("POST", `/jobs/${id}/confirm`);
  asking = null;
  showEnd(await stopped(id, "Storing"));
}

async function changed() {
  await giveUp();
  answer.replaceChildren();
  say("Nothing was stored. Change the options, then show the preview again.");
  form.querySelector(".inputs select, .inputs input").focus();
}

/** The parts of a preview, the doubts first. */
function previewParts(shown) {
  const {dataset, symbol, format, timezone, resolution} = shown;
  const facts = {dataset, symbol: symbol ?? "of each row", layout: format ?? "own", "time zone": timezone, ...(resolution ? {resolution} : {})};
  const unread = shown.unread_columns.map(({name, samples, note}) => [name, samples.join(", "), note ?? ""]);
  const guesses = shown.guessed.map(({option, reason}) => el("li", {}, el("code", {}, option), `: ${reason}`));
  return [
    shown.doubts.length ? el("div", {class: "problem"}, list(shown.doubts)) : null,
    el("dl", {class: "facts"}, ...Object.entries(facts).map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)))),
    ...titled("Columns that are not read", unread.length && table(["column", "its cells", "note"], unread)),
    ...titled("First rows", rowsTable(shown.first_rows)),
    ...titled("Last rows", rowsTable(shown.last_rows)),
    ...titled("Rows that cannot be stored", list(shown.bad)),
    ...titled("Columns", table(["column", "of the file"], Object.entries(shown.columns))),
    ...titled("Guessed", guesses.length && el("ul", {}, ...guesses)),
    shown.command && el("p", {}, "These options make it certain: ", el("code", {}, shown.command)),
  ];
}

function showEnd({state, result, error}) {
  say("");
  if (state !== "succeeded") {
    show(state === "failed" ? "The import has failed" : "The import was cancelled", el("p", {class: "problem"}, error?.message ?? "The job was cancelled."));
    return;
  }
  const {rows, stored, duplicates, bad, bad_rows: examples, symbols, symbols_left_out: more} = result;
  const items = symbols.slice(0, MOST_SYMBOLS);
  const cells = items.map((each) => [each.symbol, each.dataset, number(each.rows), number(each.stored), number(each.duplicates)]);
  const left = more + symbols.length - items.length;
  show(
    stored + duplicates ? "Stored" : "Nothing is stored",
    el("p", {}, `${number(rows)} rows: ${number(stored)} stored, ${number(duplicates)} already there.`),
    bad ? el("div", {class: "problem"}, `Rows that cannot be stored: ${number(bad)}, such as`, list(examples)) : null,
    table(["symbol", "dataset", "rows", "stored", "already there"], cells),
    left ? el("p", {}, `${number(left)} more symbols are not shown.`) : null,
  );
}

/** Do one thing at a time, and say what goes wrong. */
async function busy(act) {
  const buttons = () => document.querySelectorAll("main button");
  buttons().forEach((button) => (button.disabled = true));
  try {
    await act();
  } catch (error) {
    const fields = (error.problem?.errors ?? []).map(({path, message}) => `${path}: ${message}`);
    say("");
    show("Error", el("p", {class: "problem"}, error.message), list(fields));
  } finally {
    buttons().forEach((button) => (button.disabled = false));
  }
}

/** Show parts below a heading, which gets the focus. Empty parts are left out. */
function show(title, ...parts) {
  const heading = el("h2", {tabindex: "-1"}, title);
  answer.replaceChildren(heading, ...parts.filter(Boolean));
  heading.focus();
}

function say(text) {
  byId("progress").textContent = text;
}

const percent = (done, total) => `${Math.floor((100 * done) / (total || 1))} %`;
const titled = (title, part) => (part ? [el("h3", {}, title), part] : []);
const list = (texts) => (texts.length ? el("ul", {}, ...texts.map((text) => el("li", {}, text))) : null);

function rowsTable(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return rows.length ? table(names, rows.map((row) => names.map((name) => row[name] ?? ""))) : null;
}

function table(names, rows) {
  const heads = names.map((name) => el("th", {scope: "col"}, name));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, String(cell)))));
  const inner = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...body));
  return el("div", {class: names.length > 3 ? "wide-table" : "wide-table narrow", tabindex: "0", role: "region", "aria-label": names.join(", ")}, inner);
}
