// The bars of a chart, page by page: the newest first, earlier ones on demand; and why bars are missing.

import {timeOf} from "./candle_series.js";
import {barParameters, state, symbolPath} from "./state.js";

const PAGE = 500;
// The longest range in days for which absences are asked, by resolution: a bit less than the API's longest range.
const LONGEST_DAYS = {"1s": 0.9, "1m": 28, "5m": 88, "15m": 175, "30m": 175, "1h": 360, "4h": 360, "1d": 3600, "1w": 36000, "1M": 36000};

export class Bars {
  #cursor = null;
  #loading = false;

  constructor(api) {
    this.api = api;
    this.absences = [];
    // The token from which the live feed continues.
    this.token = null;
    // Why the bars are not adjusted, though that was asked for; "" if they are.
    this.unadjusted = "";
  }

  /** The newest bars, oldest first. Earlier pages then continue before them. */
  async newest({signal} = {}) {
    this.absences = [];
    const {data, headers} = await this.#page({}, signal);
    this.token = headers.get("X-Commit");
    this.unadjusted = data.unadjusted ? `unadjusted: ${data.unadjusted[0].reason}` : "";
    return data.bars;
  }

  get hasEarlier() {
    return this.#cursor !== null;
  }

  /** The page before; [] if there is none. A second call meanwhile gets nothing. */
  async earlier({signal} = {}) {
    if (this.#cursor === null || this.#loading) return [];
    this.#loading = true;
    try {
      return (await this.#page({cursor: this.#cursor}, signal)).data.bars;
    } finally {
      this.#loading = false;
    }
  }

  /** Add the absences among a page's bars, and those up to `end`, in seconds since 1970; to now without one. */
  async explainAbsences(bars, {end = null, signal} = {}) {
    if (!bars.length) return;
    const longest = LONGEST_DAYS[state.resolution] * 86400;
    const last = timeOf(bars.at(-1)) + 1;
    const stop = end ?? (!state.as_of && Date.now() / 1000 - last < longest / 2 ? null : last);
    const start = Math.max(timeOf(bars[0]), (stop ?? Date.now() / 1000) - longest);
    const range = {start: iso(start), end: stop === null ? "" : iso(Math.max(stop, start + 1))};
    const query = {...barParameters(), ...range, coverage: 1, limit: 10_000, fields: "timestamp"};
    const {data} = await this.api.get(symbolPath("/ohlcv"), query, {signal});
    this.absences = [...(data.absences ?? []), ...this.absences];
  }

  async #page(more, signal) {
    const answer = await this.api.get(symbolPath("/ohlcv"), {...barParameters(), last: PAGE, ...more}, {signal});
    this.#cursor = answer.data.prev_cursor;
    return answer;
  }
}

const iso = (seconds) => new Date(Math.floor(seconds) * 1000).toISOString();
