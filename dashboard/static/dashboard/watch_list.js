// The watch list: instruments with their last price and the day's change, and a search.

import {byId, debounced, el} from "./dom.js";
import {complain, settled} from "./messages.js";
import {dayOf, learnPrices, learnTick, percentWords, price} from "./prices.js";
import {classPath, state} from "./state.js";

const MOST = 20;
const EVERY_MS = 5000;
const TOPIC = "Watch list";

export class WatchList {
  #found = [];
  #items = new Map();
  #aborter = null;

  /** onChoose gets an instrument. */
  constructor(api, onChoose) {
    Object.assign(this, {api, onChoose});
    byId("search").addEventListener("input", debounced(250, () => this.search()));
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#found.length) onChoose(this.#found[0]);
    });
    setInterval(() => document.hidden || this.#read(), EVERY_MS);
  }

  /** Coins are traded at all hours. */
  get first() {
    return this.#found.find((instrument) => instrument.class === "crypto") ?? this.#found[0];
  }

  async search() {
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    const query = {search: byId("search").value.trim(), limit: MOST};
    try {
      const {data} = await this.api.get("/instruments", query, {signal: this.#aborter.signal});
      settled("Search");
      this.#found = data.instruments;
      this.#items = new Map();
      for (const instrument of this.#found) this.#add(instrument);
      byId("symbols").replaceChildren(...[...this.#items.values()].map(({item}) => item));
      byId("found").textContent = this.#found.length === 0 ? "No instrument is found." : this.#found.length < MOST ? "" : "Type to find more.";
      this.mark();
      await this.#read();
    } catch (error) {
      complain("Search", error);
    }
  }

  /** Mark the symbol that is shown. */
  mark() {
    for (const [symbol, {item}] of this.#items) item.firstChild.setAttribute("aria-pressed", String(symbol === state.symbol));
  }

  /** Show the price of a snapshot. */
  show({symbol, ...snapshot}) {
    const item = this.#items.get(symbol);
    if (!item) return;
    const {last, change, percent} = dayOf(snapshot);
    learnPrices(symbol, [last]);
    item.last.textContent = last === null ? "" : price(last, symbol);
    item.change.textContent = percent === null ? "" : percentWords(percent);
    item.change.dataset.kind = change > 0 ? "gain" : change < 0 ? "loss" : "";
  }

  #add(instrument) {
    learnTick(instrument);
    const [last, change] = [el("span", {class: "last"}), el("span", {class: "change"})];
    const label = el("small", {}, [instrument.class, instrument.exchange, instrument.name].filter(Boolean).join(" · "));
    const onclick = () => this.onChoose(instrument);
    const item = el("li", {}, el("button", {type: "button", onclick}, el("strong", {}, instrument.symbol), last, label, change));
    this.#items.set(instrument.symbol, {item, last, change});
  }

  // The snapshots of each class in one call.
  async #read() {
    const classes = Map.groupBy(this.#found, (instrument) => instrument.class);
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
