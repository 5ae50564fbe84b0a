// Exports: how far each is, its files as links, and its cancel.

import {byId, el, number, shortened, size, table} from "./dom.js";
import {LiveTable} from "./live_table.js";
import {complain, settled} from "./messages.js";
import {oneAtATime} from "./refusals.js";
import {marketClass, state} from "./state.js";
import {whileOpen} from "./tabs.js";
import {words} from "./trading_words.js";
import {namedTime, shortTime, zoneName} from "./zone.js";

const TOPIC = "Exports";
const [MOST_ROWS, MOST_FILES] = [20, 100];
const [RUNNING_MS, IDLE_MS] = [1500, 10_000];
const UNANSWERED = "No answer came. The list tells whether it was done.";

const isEnded = ({state}) => !["queued", "running"].includes(state);
const KINDS = "export,account_export,audit_export";

/** What an export holds: rows, range, format. */
function nameOf({parameters: {dataset, symbols, resolution, start, end, table, account, format}}) {
  const rows = table ? [table, account].filter(Boolean).join(" of ") : `${dataset} of ${shortened(symbols)}`;
  return [rows, resolution, start && `from ${start}`, end && `to ${end}`, format].filter(Boolean).join(", ");
}

export class ExportsPanel {
  constructor(api) {
    this.api = api;
    this.once = oneAtATime("exports-refusal", UNANSWERED);
    // A row is made again when its job has ended or its files are deleted: it then has other buttons.
    const key = (job) => `${job.id} ${isEnded(job)} ${job.result?.deleted}`;
    this.table = new LiveTable(byId("exports"), "Newest exports", this.#columns(), {key, empty: "No export was made yet."});
    byId("export-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(Object.fromEntries(new FormData(event.target)));
    });
    this.again = whileOpen("exports", () => this.#read());
  }

  /** The symbol of the chart. */
  symbol(symbol) {
    byId("export-symbol").textContent = symbol;
  }

  async #submit({dataset, start, format}) {
    const resolution = dataset === "ohlcv" ? state.resolution : undefined;
    const body = {dataset, symbols: [state.symbol], class: marketClass(state.class), start: start || undefined, resolution, format};
    await this.once(() => this.api.send("POST", "/exports", {body}));
    await this.again();
  }

  #columns() {
    const column = (head, text) => ({head, text});
    const figure = (head, of) => ({...column(head, ({result}) => (result && !result.deleted ? of(result) : "–")), figure: true});
    return [
      column("rows of", nameOf), column("state", stateOf), figure("rows", ({rows}) => number(rows)), figure("size", ({bytes}) => size(bytes)),
      {...column(() => `started (${zoneName()})`, ({created_at: at}) => shortTime(at)), wide: true},
      {head: "", make: (row) => this.#button(row())},
    ];
  }

  #button(job) {
    const button = (text, act) => el("button", {type: "button", "aria-label": `${text}: ${nameOf(job)}, ${namedTime(job.created_at)}`, onclick: act}, text);
    if (job.result?.deleted) return null;
    if (job.state === "succeeded") return button("Files", () => this.#files(job));
    return isEnded(job) ? null : button("Cancel", () => this.#cancel(job));
  }

  async #read() {
    try {
      const {jobs} = (await this.api.get("/jobs", {kind: KINDS, limit: MOST_ROWS})).data;
      this.table.show(jobs);
      settled(TOPIC);
      return jobs.every(isEnded) ? IDLE_MS : RUNNING_MS;
    } catch (error) {
      complain(TOPIC, error, {isRead: false});
      return IDLE_MS;
    }
  }

  async #cancel({id}) {
    await this.once(() => this.api.send("POST", `/jobs/${id}/cancel`));
    await this.again();
  }

  async #files(job) {
    const answer = await this.once(() => this.api.get(`/exports/${job.id}`));
    if (!answer) return;
    const {files} = answer.data;
    const link = (path, href) => el("a", {href, download: true}, path);
    const rows = files.slice(0, MOST_FILES).map((file) => [link(file.path, file.link), number(file.rows), size(file.bytes)]);
    const manifest = link("manifest.json", `/api/v1/exports/${job.id}/files/manifest.json`);
    const more = files.length > MOST_FILES ? ` It lists all ${number(job.result.files)}; the first ${MOST_FILES} are below.` : "";
    const title = el("h3", {tabindex: "-1"}, `Files of ${nameOf(job)}`);
    const shown = files.length ? [el("p", {}, manifest, ` has rows, sizes and checksums.${more}`), table("Files", ["file", ["rows"], ["size"]], rows)]
      : [el("p", {}, "The files are deleted.")];
    byId("export-files").replaceChildren(title, ...shown);
    title.focus();
  }
}

function stateOf({state, progress: {done, total}, result, error, cancel_requested: isEnding}) {
  if (result?.deleted) return "files deleted";
  if (state === "running") return isEnding ? "running, ends soon" : total ? `running, ${Math.floor(100 * done / total)} %` : "running";
  return error ? [`${state}: ${words(error.code)}`, "loss"] : state;
}
