// The chart: the newest bars, earlier ones on scrolling back, live updates, absences.

import {Bars} from "./bars.js";
import {makeChart} from "./candles.js";
import {MISSING, timeOf} from "./candle_series.js";
import {byId, debounced, el, number, table, throttled} from "./dom.js";
import {complain, note, settled} from "./messages.js";
import {learnPrices} from "./prices.js";
import {calendarOf, outsideOf} from "./sessions.js";
import {barChannel, hasBars, isOfFeed, keep, state} from "./state.js";
import {countTab} from "./tabs.js";
import {setZone, shownInstant} from "./zone.js";

const TOPIC = "Chart";
const LIVE = "Live bars";
const EARLIER = "Earlier bars";
// How many pages a reload loads at most to find its place again.
const MOST_PAGES = 12;
// Adjusted bars are read anew, at most so often.
const RELOAD_MS = 5000;
const AVERAGES = [20, 50];
const DAY = 86_400;
// What the buttons show: bars of a resolution, over so many days.
const RANGES = {"1D": ["1m", 1], "5D": ["5m", 5], "1M": ["30m", 30], "1Y": ["1d", 365]};
const WITHOUT_HOURS = new Set(["1d", "1w", "1M"]);

export class ChartPanel {
  #chart;
  #bars;
  #channel = null;
  #aborter = null;
  #placing = false;
  #dates = [];
  #timezone = "UTC";

  constructor(api, feed, {onBar}) {
    Object.assign(this, {api, feed});
    this.#bars = new Bars(api);
    this.#chart = makeChart(byId("chart"), {onClick: onBar, onRange: (range) => this.#moved(range)});
    this.remember = debounced(200, (symbol, {from, to, atEnd}) => {
      if (symbol === state.symbol && !this.#placing) keep({from: String(Math.floor(from)), to: atEnd ? "" : String(Math.ceil(to))});
    });
    for (const button of byId("ranges").children) button.addEventListener("click", () => this.#choose(button.textContent));
    this.reloadSoon = throttled(RELOAD_MS, () => this.load());
  }

  #choose(name) {
    const [resolution, days] = RANGES[name];
    keep({resolution, from: "", to: ""});
    byId("resolution").value = resolution;
    this.load({span: days * DAY});
  }

  // Times are shown in the zone of the state.
  #setZone() {
    setZone(state.tz === "local" ? null : state.tz === "utc" ? "UTC" : this.#timezone);
  }

  /** Remember what is shown no longer, until the bars are read anew: the address has a range of its own. */
  place() {
    this.#placing = true;
  }

  /** Take the zone and the hours of the instrument's exchange. */
  async instrument({exchange, calendar}) {
    const {timezone, dates} = exchange && !calendar ? await calendarOf(this.api, exchange) : {timezone: "UTC", dates: []};
    this.#dates = dates;
    this.#timezone = timezone;
    this.#setZone();
  }

  get isEmpty() {
    return this.#chart.firstTime() === null;
  }

  /** Read the bars of the state anew. span: how many seconds up to the newest bar are shown; without one the range of the address. */
  async load({span = 0} = {}) {
    this.#setZone();
    if (!hasBars()) return this.clear("Options have no bars; their quotes and greeks are data pages.");
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    const {signal} = this.#aborter;
    this.#leave();
    this.#placing = true;
    byId("chart").setAttribute("aria-busy", "true");
    try {
      await this.#read(span, signal);
      settled(TOPIC);
      settled(EARLIER);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#empty("");
      complain(TOPIC, error);
    }
    byId("chart").removeAttribute("aria-busy");
    this.#placing = false;
  }

  async #read(span, signal) {
    const {to, resolution} = state;
    let bars = await this.#newest(signal);
    const from = span && bars.length ? String(timeOf(bars.at(-1)) - span) : state.from;
    for (let n = 0; from && bars.length && timeOf(bars[0]) > Number(from) && this.#bars.hasEarlier && n < MOST_PAGES; n++) {
      bars = [...(await this.#bars.earlier({signal})), ...bars];
    }
    learnPrices(state.symbol, bars.slice(-50).flatMap(({open, close}) => [open, close]));
    this.#chart.setBars(bars, {symbol: state.symbol, averages: state.averages ? [] : AVERAGES});
    this.#shade();
    if (!bars.length) note("There are no bars.");
    else if (state.resolution !== resolution) note(`There are no bars of ${resolution}: these are bars of ${state.resolution}.`);
    else note(this.#bars.unadjusted);
    if (from && bars.length) this.#chart.showRange(Number(from), to ? Number(to) : timeOf(bars.at(-1)));
    else if (bars.length) this.#chart.showNewest();
    if (!state.as_of) this.#follow();
    this.#gaps(bars, {signal});
  }

  // Read the newest bars. Coarser bars are chosen if the symbol has no others.
  async #newest(signal) {
    const choice = byId("resolution");
    for (;;) {
      try {
        return await this.#bars.newest({signal});
      } catch (error) {
        if (error.code !== "resolution_unavailable" || choice.selectedIndex === choice.length - 1) throw error;
        choice.selectedIndex++;
        keep({resolution: choice.value});
      }
    }
  }

  /** Show nothing but a text, and follow nothing. */
  clear(text) {
    this.#aborter?.abort();
    this.#leave();
    this.#empty(text);
    byId("chart").removeAttribute("aria-busy");
    this.#placing = false;
  }

  #empty(text) {
    this.#chart.setBars([]);
    this.#chart.showGaps([]);
    byId("gaps-summary").textContent = "";
    countTab("gaps", 0);
    byId("gaps").replaceChildren();
    note(text);
  }

  #follow() {
    this.#channel = barChannel();
    this.feed.subscribe(this.#channel, {
      from: this.#bars.token || undefined,
      onBegun: () => settled(LIVE),
      onFrame: (frame) => this.#live(frame),
      onResync: () => this.load(),
      onError: (error) => complain(LIVE, error),
    });
  }

  #leave() {
    if (this.#channel) this.feed.unsubscribe(this.#channel);
    this.#channel = null;
    settled(LIVE);
  }

  /** Trades were stored. Adjusted bars are not in the feed. */
  traded() {
    if (hasBars() && !isOfFeed()) this.reloadSoon();
  }

  #live({start, end, data}) {
    if (isOfFeed()) this.#chart.replaceBars(start, end, data);
    else this.reloadSoon();
    this.#shade();
  }

  async #moved(range) {
    if (this.#placing) return;
    this.remember(state.symbol, range);
    if (!range.wantsPast || !this.#bars.hasEarlier) return;
    try {
      const earlier = await this.#bars.earlier({signal: this.#aborter.signal});
      settled(EARLIER);
      if (!earlier.length) return;
      const end = this.#chart.firstTime();
      this.#chart.prependBars(earlier);
      this.#shade();
      this.#gaps(earlier, {end, signal: this.#aborter.signal});
    } catch (error) {
      complain(EARLIER, error);
    }
  }

  #shade() {
    this.#chart.showExtended(WITHOUT_HOURS.has(state.resolution) ? [] : outsideOf(this.#chart.times(), this.#dates));
  }

  // Ask why bars are missing among these, and show it: the chart does not wait for it.
  async #gaps(bars, options) {
    try {
      await this.#bars.explainAbsences(bars, options);
      settled("Missing bars");
    } catch (error) {
      if (error.name === "AbortError") return;
      complain("Missing bars", error);
    }
    const {absences} = this.#bars;
    this.#chart.showGaps(absences);
    const missing = absences.filter(({reason}) => MISSING.has(reason));
    const usual = absences.length - missing.length;
    byId("gaps-summary").textContent = `${missing.length} gaps, halts or pending backfills, which are shaded in the chart; `
      + `${usual} stretches of closed hours or without trades.`;
    countTab("gaps", missing.length);
    const rows = absences.slice(-100).reverse()
      .map(({start, end, reason}) => [el("span", {class: `reason reason-${reason}`}, reason.replaceAll("_", " ")), shownInstant(start), shownInstant(end)]);
    byId("gaps").replaceChildren(table("Stretches without a bar, newest first", ["reason", "from", "to"], rows));
  }
}

/** What an instrument is, in a line. */
export function describe(instrument) {
  return [
    instrument.name, instrument.class, instrument.exchange, instrument.currency, `bar policy ${instrument.bar_policy}`,
    instrument.tick_size && `tick ${number(instrument.tick_size)}`,
  ].filter(Boolean).join(" · ");
}
