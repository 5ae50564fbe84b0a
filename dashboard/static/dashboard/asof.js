// The slider that shows the chart as it was known: it stops at the commits of the log of trades.

import {byId, debounced, instant} from "./dom.js";
import {complain, settled} from "./messages.js";
import {hasBars, keep, state, symbolPath} from "./state.js";

// Each answer has at most 1,000 commits.
const MOST_ANSWERS = 20;

export class AsOf {
  #commits = [];
  #seen = new Set();
  #aborter = null;
  #after;
  #said = null;
  #view = null;

  constructor(api, onChange) {
    this.api = api;
    this.slider = byId("asof");
    const changed = () => {
      onChange();
      if (!state.as_of) this.#extend();
    };
    const change = debounced(250, changed);
    this.slider.addEventListener("input", () => {
      this.#take(Number(this.slider.value));
      change();
    });
    byId("asof-instant").addEventListener("input", ({target}) => target.setCustomValidity(""));
    byId("asof-form").addEventListener("submit", (event) => this.#enter(event, change));
    byId("asof-now").addEventListener("click", () => {
      this.#set("");
      this.draw();
      changed();
    });
  }

  /** Forget the commits of the symbol before. */
  forget() {
    this.#aborter?.abort();
    this.#commits = [];
    this.#seen.clear();
    this.#after = undefined;
    this.draw();
  }

  /** Read the commits of the symbol's trades. The newest commits then come by `note`. Options have no trades. */
  async load() {
    this.forget();
    if (hasBars()) await this.#extend();
  }

  // Read what was committed since the newest commit that is known.
  async #extend() {
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    try {
      await this.#walk(this.#aborter.signal);
      settled("As of");
    } catch (error) {
      // The log was restored: its commits are others.
      if (error.code === "resync") return this.load();
      complain("As of", error);
    }
    this.draw();
  }

  async #walk(signal) {
    for (let n = 0; n < MOST_ANSWERS; n++) {
      const answer = await this.api.response(symbolPath("/trades/commits"), {after: this.#after}, {signal});
      const lines = (await answer.text()).split("\n").filter(Boolean);
      if (!lines.length) return;
      for (const line of lines) {
        const {seq, committed_at, corrections} = JSON.parse(line);
        this.#add({seq, committed_at, kind: corrections ? "corrections" : "rows"});
        this.#after = seq;
      }
    }
  }

  /** Add the commit of a frame of the live feed. */
  note(frame) {
    if (this.#add(frame)) this.draw();
  }

  #add({seq, committed_at: at, kind}) {
    const commit = Number.parseInt(seq, 10);
    if (!at || this.#seen.has(commit)) return false;
    this.#seen.add(commit);
    const isNewest = commit > (this.#commits.at(-1)?.commit ?? 0);
    this.#commits.push({commit, at, kind});
    if (!isNewest) this.#commits.sort((one, other) => one.commit - other.commit);
    return true;
  }

  // What was in view before the first instant comes back with *now*.
  #set(as_of) {
    const {symbol, from, to} = state;
    if (as_of && !state.as_of) this.#view = {symbol, from, to};
    keep({as_of, ...(!as_of && this.#view?.symbol === symbol ? this.#view : {})});
  }

  #take(index) {
    this.#set(this.#commits[index]?.at ?? "");
    this.#say();
  }

  #enter(event, change) {
    event.preventDefault();
    const field = byId("asof-instant");
    const as_of = field.value.trim() && utcOf(field.value.trim());
    field.setCustomValidity(as_of === null ? "An instant such as 2025-01-02T15:00:00Z, in UTC or with an offset." : "");
    if (!field.reportValidity()) return;
    field.value = as_of;
    this.#set(as_of);
    this.draw();
    change();
  }

  /** Put the slider where the state is. */
  draw() {
    this.slider.max = String(this.#commits.length);
    const exact = this.#commits.findIndex(({at}) => at === state.as_of);
    const found = exact < 0 ? this.#commits.findLastIndex(({at}) => Date.parse(at) <= milliseconds(state.as_of)) : exact;
    this.slider.value = String(state.as_of ? Math.max(0, found) : this.#commits.length);
    this.slider.disabled = this.#commits.length === 0;
    this.#say();
  }

  #say() {
    const commit = this.#commits[Number(this.slider.value)];
    const exact = commit && commit.at === state.as_of;
    const kind = commit?.kind === "corrections" ? ", corrections" : "";
    const words = !state.as_of ? "now" : `${instant(state.as_of)} UTC${exact ? ` (commit ${commit.commit}${kind})` : ""}`;
    byId("asof-text").textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    // What somebody is typing stays.
    if (this.#said !== state.as_of) byId("asof-instant").value = state.as_of;
    this.#said = state.as_of;
    byId("asof-now").disabled = !state.as_of;
    byId("asof-notice").hidden = !state.as_of;
    byId("asof-instant-said").textContent = state.as_of ? instant(state.as_of) : "";
  }
}

const INSTANT = /^((?:19|20|21)\d\d-\d\d-\d\d)(?:[T ]([01]\d|2[0-3])(:[0-5]\d)(:[0-5]\d)?(\.\d{1,9})? ?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** What was entered as an instant of UTC; an epoch as it is; null if it is neither. */
function utcOf(text) {
  if (/^(\d{10}|\d{13}|\d{16}|\d{19})$/.test(text)) return text;
  const [, date, hour = "00", minute = ":00", second = ":00", fraction = "", zone = "Z"] = INSTANT.exec(text) ?? [];
  const day = Date.parse(`${date}T00:00:00Z`);
  if (Number.isNaN(day) || !new Date(day).toISOString().startsWith(date)) return null;
  const at = Date.parse(`${date}T${hour}${minute}${second}${zone.toUpperCase().replace(/(\d\d)(\d\d)$/, "$1:$2")}`);
  return Number.isNaN(at) ? null : `${new Date(at).toISOString().slice(0, 19)}${fraction}Z`;
}

// Of an instant with an offset, or of an epoch in s, ms, µs or ns, too.
const milliseconds = (text) => (/^\d{10,}$/.test(text) ? Number(text.padEnd(13, "0").slice(0, 13)) : Date.parse(text));
