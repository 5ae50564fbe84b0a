// The headline of the symbol that is shown: its last price and the day's change; and its bid and ask, live.

import {byId, throttled} from "./dom.js";
import {complain, settled} from "./messages.js";
import {changeWords, dayOf, learnPrices, price} from "./prices.js";
import {state, symbolPath} from "./state.js";

const TOPIC = "Last price";
const RELOAD_MS = 5000;

const timeOf = (trade) => Date.parse(trade.timestamp);

/** A snapshot with a trade that came after it was read. */
function withLive(snapshot, newest) {
  // While the newest trade sets the close of an open session, the next one is taken to set it, too. The reload corrects this after the close.
  const {live, trade, daily_bar: bar} = snapshot;
  const isOpen = bar?.final === false && (live ?? trade)?.price === bar.close;
  return {...snapshot, trade: newest, live: newest, daily_bar: isOpen ? {...bar, close: newest.price} : bar};
}

export class Headline {
  #snapshot = {};
  #channel = null;
  #aborter = null;

  /** onSnapshot: the snapshot of now has changed. */
  constructor(api, feed, {onSnapshot}) {
    Object.assign(this, {api, feed, onSnapshot});
    this.reloadSoon = throttled(RELOAD_MS, () => this.load());
  }

  /** Show no price, and follow none. */
  clear() {
    this.#aborter?.abort();
    this.#leave();
    this.#snapshot = {};
    this.#draw();
  }

  #leave() {
    if (this.#channel) this.feed.unsubscribe(this.#channel);
    this.#channel = null;
  }

  /** Read the snapshot of the state's symbol and instant. */
  async load() {
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    try {
      const {data} = await this.api.get(symbolPath("/snapshot"), {as_of: state.as_of}, {signal: this.#aborter.signal});
      const live = state.as_of ? null : this.#snapshot.live;
      this.#take(live && (!data.trade || timeOf(live) > timeOf(data.trade)) ? withLive(data, live) : data);
      if (state.as_of) this.#leave();
      else this.#follow();
      settled(TOPIC);
    } catch (error) {
      complain(TOPIC, error);
    }
  }

  /** A frame of the symbol's trades. */
  frame({kind, data}) {
    if (kind === "corrections") {
      // The newest trade may be cancelled.
      this.#snapshot = {...this.#snapshot, live: null};
      return this.reloadSoon();
    }
    const newest = data.reduce((one, other) => (timeOf(other) >= timeOf(one) ? other : one), this.#snapshot.trade ?? data[0]);
    if (!newest || newest === this.#snapshot.trade) return;
    this.reloadSoon();
    this.#take(withLive(this.#snapshot, newest));
  }

  #follow() {
    if (this.#channel) return;
    this.#channel = `quotes:${state.symbol}`;
    const onFrame = ({kind, data}) => kind !== "corrections" && data.length && this.#take({...this.#snapshot, quote: data.at(-1)});
    const none = () => {};
    this.feed.subscribe(this.#channel, {mode: "latest", onBegun: none, onFrame, onResync: none, onError: (error) => complain(TOPIC, error)});
  }

  #take(snapshot) {
    this.#snapshot = snapshot;
    const {trade, quote} = snapshot;
    learnPrices(state.symbol, [trade?.price, quote?.bid, quote?.ask]);
    this.#draw();
    if (!state.as_of) this.onSnapshot({...snapshot, symbol: state.symbol});
  }

  #draw() {
    const {last, change, percent, since} = dayOf(this.#snapshot);
    const [text, kind] = changeWords(change, percent, state.symbol);
    byId("last-price").textContent = last === null ? "" : price(last, state.symbol);
    byId("day-change").textContent = since ? `${text} since ${since}` : text;
    byId("day-change").dataset.kind = kind;
    // Orders are of now.
    const quote = (state.as_of ? null : this.#snapshot.quote) ?? {};
    for (const side of ["bid", "ask"]) byId(side).textContent = typeof quote[side] === "number" ? price(quote[side], state.symbol) : "";
  }
}
