// The trade tape: the newest trades of the symbol, as they are stored.

import {byId, el, number} from "./dom.js";
import {complain, settled} from "./messages.js";
import {learnPrices, price} from "./prices.js";
import {hasBars, state, symbolPath} from "./state.js";
import {shownInstant} from "./zone.js";

const MOST_TRADES = 60;
const LIVE = "Live trades";

export class Tape {
  #channel = null;
  #aborter = null;

  /** onRead: the newest trades, and whether there are no others. onFrame: each frame of the trades' log after them. */
  constructor(api, feed, {onRead, onFrame}) {
    Object.assign(this, {api, feed, onRead, onFrame});
  }

  /** Show no trades, and follow none. */
  clear() {
    this.#aborter?.abort();
    if (this.#channel) this.feed.unsubscribe(this.#channel);
    this.#channel = null;
    settled(LIVE);
    byId("tape").replaceChildren();
  }

  async load() {
    this.clear();
    this.#aborter = new AbortController();
    byId("tape-note").textContent = state.as_of ? "As it was known then; not live." : "";
    if (!hasBars()) return;
    try {
      const query = {last: MOST_TRADES, as_of: state.as_of};
      const {data, headers} = await this.api.get(symbolPath("/trades"), query, {signal: this.#aborter.signal});
      learnPrices(state.symbol, data.trades.map((trade) => trade.price));
      byId("tape").replaceChildren(...data.trades.reverse().map((trade) => row(trade)));
      if (!data.trades.length) byId("tape-note").textContent = "There are no trades.";
      this.onRead(data.trades, data.trades.length < MOST_TRADES);
      if (!state.as_of) this.#follow(headers.get("X-Commit"));
      settled("Trades");
    } catch (error) {
      complain("Trades", error);
    }
  }

  #follow(from) {
    this.#channel = `trades:${state.symbol}`;
    this.feed.subscribe(this.#channel, {
      from: from || undefined,
      onBegun: () => settled(LIVE),
      onFrame: (frame) => this.#live(frame),
      onResync: () => this.load(),
      onError: (error) => complain(LIVE, error),
    });
  }

  #live(frame) {
    byId("tape-note").textContent = "";
    const rows = frame.kind === "corrections" ? frame.data.map(correction) : frame.data.map((trade) => row(trade));
    byId("tape").prepend(...rows.slice(-MOST_TRADES).reverse());
    while (byId("tape").children.length > MOST_TRADES) byId("tape").lastChild.remove();
    this.onFrame(frame);
  }
}

function row(trade, kind = "") {
  const notes = [kind, ...(trade.conditions ?? [])].filter(Boolean).join(", ").replaceAll("_", " ");
  return el("tr", {class: kind || null}, el("td", {}, shownInstant(trade.timestamp).slice(11)), el("td", {class: "figure"}, price(trade.price, state.symbol)),
    el("td", {class: "figure"}, number(trade.volume)), el("td", {title: notes}, notes));
}

function correction({action, before, after}) {
  return row(after ?? before, action === "cancel" ? "cancelled" : "corrected");
}
