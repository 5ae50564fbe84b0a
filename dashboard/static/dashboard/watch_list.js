// The watch list: the browser's own instruments, then others, with their last price and the day's change, and a search.

import {byId, debounced, el} from "./dom.js";
import {feedDot} from "./feeds_panel.js";
import {complain, settled} from "./messages.js";
import {dayOf, learnPrices, learnTick, percentGain, price} from "./prices.js";
import {classPath, state} from "./state.js";

const MOST_FOUND = 20;
const EVERY_MS = 5000;
const TOPIC = "Watch list";
// Where the browser keeps its own symbols, and how many.
const KEPT = "watch list";
const MOST_KEPT = 30;

export class WatchList {
  #shown = [];
  #items = new Map();
  #aborter = null;
  #feeds = [];

  /** onChoose gets an instrument. */
  constructor(api, onChoose) {
    Object.assign(this, {api, onChoose});
    byId("search").addEventListener("input", debounced(250, () => this.search()));
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#shown.length) onChoose(this.#shown[0]);
    });
    byId("keep").addEventListener("click", () => this.#toggle());
    // Another tab has changed the list.
    addEventListener("storage", ({key}) => key === KEPT && this.search());
    setInterval(() => document.hidden || this.#read(), EVERY_MS);
  }

  /** One's own first; else a coin, which is traded at all hours. */
  get first() {
    const own = kept();
    const isOwn = ({symbol}) => own.includes(symbol);
    return this.#shown.find(isOwn) ?? this.#shown.find((each) => each.class === "crypto") ?? this.#shown[0];
  }

  // Keep the symbol that is shown, or keep it no longer.
  #toggle() {
    const others = kept().filter((symbol) => symbol !== state.symbol);
    const own = isKept(state.symbol) ? others : [...others, state.symbol].slice(-MOST_KEPT);
    localStorage.setItem(KEPT, JSON.stringify(own));
    byId("search").value = "";
    this.search();
  }

  async search() {
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    const {signal} = this.#aborter;
    const query = {search: byId("search").value.trim(), limit: MOST_FOUND};
    try {
      const found = (await this.api.get("/instruments", query, {signal})).data.instruments;
      settled("Search");
      const own = query.search ? [] : await this.#own(found, signal);
      if (signal.aborted) return;
      this.#shown = [...own, ...found.filter(({symbol}) => !own.some((each) => each.symbol === symbol))];
      this.#items = new Map();
      for (const instrument of this.#shown) this.#add(instrument);
      this.#drawFeeds();
      byId("symbols").replaceChildren(...[...this.#items.values()].map(({item}) => item));
      byId("found").replaceChildren(...this.#said(query.search, found.length));
      this.mark();
      await this.#read();
    } catch (error) {
      complain("Search", error);
    }
  }

  // What is said of a search. Without a text it finds all instruments.
  #said(text, count) {
    if (count) return count < MOST_FOUND ? [] : ["Type to find more."];
    return text ? ["No instrument is found."] : ["There is no instrument yet. ", el("a", {href: "/import"}, "Import a file")];
  }

  // The browser's own instruments, without those that the server does not have.
  async #own(found, signal) {
    const known = new Map(found.map((each) => [each.symbol, each]));
    const read = async (symbol) => known.get(symbol) ?? (await this.api.get(`/instruments/${encodeURIComponent(symbol)}`, {}, {signal})).data;
    return (await Promise.allSettled(kept().map(read))).flatMap(({value}) => value ?? []);
  }

  /** Mark the symbol that is shown. */
  mark() {
    byId("keep").hidden = !state.symbol;
    byId("keep").setAttribute("aria-pressed", String(isKept(state.symbol)));
    byId("keep").textContent = isKept(state.symbol) ? "★" : "☆";
    for (const [symbol, {item}] of this.#items) item.firstChild.setAttribute("aria-pressed", String(symbol === state.symbol));
  }

  /** Show how the feeds of symbols do. */
  feeds(feeds) {
    this.#feeds = feeds;
    this.#drawFeeds();
  }

  #drawFeeds() {
    const feeds = new Map(this.#feeds.map((feed) => [feed.symbol, feed]));
    for (const [symbol, {dot}] of this.#items) {
      const feed = feeds.get(symbol);
      const shown = feed ? `${feed.source} ${feed.state} ${feed.message}` : "";
      if (dot.dataset.shown === shown) continue;
      dot.dataset.shown = shown;
      dot.replaceChildren(...(feed ? [feedDot(feed)] : []));
    }
  }

  /** Show the price of a snapshot. */
  show({symbol, ...snapshot}) {
    const item = this.#items.get(symbol);
    if (!item) return;
    const {last, percent, since} = dayOf(snapshot);
    learnPrices(symbol, [last]);
    item.last.textContent = last === null ? "" : price(last, symbol);
    item.last.title = snapshot.trade || last === null ? "" : "The close of the newest bar: there are no trades.";
    [item.change.textContent, item.change.dataset.kind] = percent === null ? ["", ""] : percentGain(percent);
    item.change.title = since ? `Since the close of ${since}.` : "";
  }

  #add(instrument) {
    learnTick(instrument);
    const [last, change, dot] = [el("span", {class: "last"}), el("span", {class: "change"}), el("span")];
    const label = el("small", {}, [instrument.class, instrument.exchange, instrument.name].filter(Boolean).join(" · "));
    const onclick = () => this.onChoose(instrument);
    const item = el("li", {}, el("button", {type: "button", onclick}, el("span", {class: "name"}, el("strong", {}, instrument.symbol), dot), last, label, change));
    this.#items.set(instrument.symbol, {item, last, change, dot});
  }

  // The snapshots of each class in one call.
  async #read() {
    const classes = Map.groupBy(this.#shown, (instrument) => instrument.class);
    const {signal} = this.#aborter ?? {};
    try {
      await Promise.all([...classes].map(async ([kind, instruments]) => {
        const symbols = instruments.map(({symbol}) => symbol).join(",");
        const {data} = await this.api.get(`${classPath(kind)}/snapshot`, {symbols}, {signal});
        for (const snapshot of data.snapshot) this.show(snapshot);
      }));
      settled(TOPIC);
    } catch (error) {
      complain(TOPIC, error);
    }
  }
}

// The browser's own symbols.
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}

const isKept = (symbol) => kept().includes(symbol);
