// The state of the feed, the caller's limits, the rate of ingest, and jobs.

import {reached} from "./api.js";
import {byId, duration, el, number, table} from "./dom.js";
import {codeLink} from "./messages.js";
import {hasBars, state, symbolPath} from "./state.js";
import {namedTime} from "./zone.js";

const EVERY_MS = 10_000;
const TRADES_WINDOW_MS = 60_000;

export class Status {
  #before = null;
  #refused = new Set();
  // When the trades of the last minute were, and from when on all of them are known.
  #times = null;
  #since = 0;
  #log = {};

  /** onRead: something was read again. */
  constructor(api, {onRead}) {
    Object.assign(this, {api, onRead});
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    document.addEventListener("zone", () => this.#drawLog());
  }

  start() {
    setInterval(() => document.hidden || this.refresh(), EVERY_MS);
    return this.refresh();
  }

  async refresh() {
    const read = await Promise.all([
      this.#show("limits", async () => limits((await this.api.get("/limits")).data)),
      this.#show("jobs", async () => jobs((await this.api.get("/jobs", {limit: 10})).data.jobs)),
      this.#show("ingest", () => this.#ingest()),
      this.#show("log", () => this.#coverage()),
    ]);
    if (read.some(Boolean)) this.onRead();
  }

  /** The symbol has changed. */
  forget() {
    this.#log = {};
    this.#times = null;
    this.#drawLog();
    return this.#show("log", () => this.#coverage());
  }

  /** The newest trades were read; isAll: there are no others. */
  trades(trades, isAll) {
    this.#times = trades.map(({timestamp}) => Date.parse(timestamp));
    this.#since = isAll ? 0 : Math.min(...this.#times);
    this.#drawLog();
  }

  /** A frame of trades came. */
  frame({data, kind, seq, complete_until: until, committed_at: at, sent_at: sent}) {
    if (kind !== "corrections") this.#times = [...(this.#times ?? []), ...data.map(({timestamp}) => Date.parse(timestamp))];
    Object.assign(this.#log, {head: seq, committed: at, ...(until && {until})});
    this.#log.lag = (Date.parse(sent) - Date.parse(at)) / 1000;
    const last = data.at(-1)?.timestamp;
    if (last) this.#log.last = last;
    this.#drawLog();
  }

  ping({logs, degraded}) {
    const log = logs?.[`trades:${state.symbol}`];
    if (log) Object.assign(this.#log, {head: log.head, until: log.complete_until ?? this.#log.until});
    byId("degraded").textContent = degraded?.length ? `The server cannot reach ${degraded.join(", ")}; messages may be late.` : "";
    this.#drawLog();
  }

  // Whether it was read. A part that the caller may not read is asked for once.
  async #show(id, make) {
    if (this.#refused.has(id)) return false;
    try {
      const made = await make();
      if (made) byId(id).replaceChildren(...[made].flat());
      return true;
    } catch (error) {
      if (error.status === 403) this.#refused.add(id);
      const text = error.status === 403 ? "Not allowed with this login. " : `${error.message} `;
      byId(id).replaceChildren(el("p", {}, text, codeLink(error)));
      return false;
    }
  }

  async #coverage() {
    if (!state.symbol || !state.class) return null;
    const log = this.#log;
    const {data} = await this.api.get(symbolPath("/coverage"));
    // Another symbol may have been chosen meanwhile.
    if (log !== this.#log) return null;
    const trades = data.datasets.find(({dataset}) => dataset === "trades");
    if (trades) Object.assign(log, {head: state.as_of ? trades.head : log.head ?? trades.head, last: trades.last, rows: trades.rows, commits: trades.commits});
    this.#drawLog();
    return null;
  }

  #drawLog() {
    const {head, until, last, lag, rows, commits} = this.#log;
    const behind = last ? (Date.now() - Date.parse(last)) / 1000 : null;
    const since = Date.now() - TRADES_WINDOW_MS;
    this.#times = this.#times?.filter((at) => at > since) ?? null;
    const few = this.#since > since ? "at least " : "";
    byId("log").replaceChildren(list({
      "Newest trade": last ? namedTime(last) : hasBars() ? "–" : "no trades of options",
      "Its age": behind === null ? "–" : duration(behind),
      "Trades of the last minute": state.as_of || !this.#times ? "–" : `${few}${number(this.#times.length)}`,
    }));
    byId("log-details").replaceChildren(list({
      "Commit": head ?? "–",
      "Complete until": namedTime(until),
      "From commit to sending": lag === undefined ? "–" : duration(lag),
      "Rows, commits": rows === undefined ? "–" : `${number(rows)}, ${number(commits)}`,
    }));
  }

  // Rows stored by all processes since the last look. Only addresses of METRICS_NETWORKS may read it.
  async #ingest() {
    const answer = await reached("/metrics");
    if (!answer.ok) throw Object.assign(new Error(`The server answered ${answer.status}.`), {status: answer.status});
    const now = {at: Date.now(), rows: totals(await answer.text(), "marketdata_store_rows_total")};
    const before = this.#before ?? now;
    this.#before = now;
    const seconds = (now.at - before.at) / 1000;
    const rate = Math.round((now.rows - before.rows) / seconds * 10) / 10;
    const words = seconds ? `${number(rate)} ${rate === 1 ? "row" : "rows"} a second` : "measuring …";
    return list({"Rate": words, "Rows since the start": number(now.rows)});
  }
}

function totals(text, name) {
  return text.split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

function list(entries) {
  return el("dl", {}, ...Object.entries(entries).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function limits({name, tier, buckets, quotas}) {
  const bar = (left, of, label) => el("meter", {min: 0, max: of, value: left, "aria-label": `${label}: ${left} of ${of} left`});
  const rows = buckets.map(({name: bucket, rate, limit, remaining}) => [bucket, `${number(rate)}/s`, bar(remaining, limit, bucket), `${number(remaining)} / ${number(limit)}`]);
  const more = quotas.map((quota) => [quota.name ?? quota.period ?? "quota", "", "", `${number(quota.remaining)} of ${number(quota.limit)}`]);
  return [el("p", {}, `${name ?? "You"}, tier ${tier}`), table("Your limits", ["bucket", "rate", "left", "tokens"], [...rows, ...more])];
}

function jobs(rows) {
  if (!rows.length) return el("p", {}, "None.");
  return table("Jobs", ["kind", "state", "progress", ""], rows.map((job) => {
    const {done = 0, total = null, unit = ""} = job.progress ?? {};
    const bar = el("progress", {max: total ?? 1, value: total === null && job.state === "running" ? null : total ? done : 1, "aria-label": `${job.kind} ${job.state}`});
    return [job.kind, job.state, bar, `${number(done)}${total === null ? "" : ` of ${number(total)}`} ${unit}`];
  }));
}
