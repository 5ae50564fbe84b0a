// Feeds: which symbols are kept current from their sources, and how they do. A table in System, and a dot in the watch list.

import {byId, duration, el, number, table} from "./dom.js";
import {oneAtATime} from "./refusals.js";
import {namedTime} from "./zone.js";

const EVERY_MS = 5000;
const UNANSWERED = "No answer came. The table shows whether it was done.";
const WORDS = {live: "live", begins: "begins", filling: "fills what was missed", waiting: "down", refused: "refused by the source", down: "down"};
const stateOf = ({state, message}) => (state === "waiting" && !message ? "begins" : state);

export class FeedsPanel {
  #feeds = [];
  #mayStop = false;
  #mayRead = true;
  // What the table shows: a button that has the focus keeps it while nothing changes.
  #table = "";

  /** onRead: gets the feeds when they were read. */
  constructor(api, {onRead}) {
    Object.assign(this, {api, onRead});
    this.once = oneAtATime("feeds-refusal", UNANSWERED);
    // While nothing is fed, nothing is asked; a call that begins a feed, and whoever comes back to the page, ask again.
    setInterval(() => document.hidden || !this.#feeds.length || this.read(), EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.read());
    document.addEventListener("zone", () => {
      this.#table = "";
      this.#draw();
    });
  }

  /** Somebody has logged in. mayStop: whether the login may stop feeds. */
  start({mayStop}) {
    this.#mayStop = mayStop;
    return this.read();
  }

  get areWanted() {
    return this.#feeds.length > 0;
  }

  async read() {
    if (!this.#mayRead) return;
    try {
      this.#feeds = (await this.api.get("/feeds")).data.feeds;
    } catch (error) {
      // The other panels say that the server is away.
      this.#mayRead = error.status !== 403;
      if (!this.#mayRead) byId("feeds").replaceChildren(el("p", {}, "Not allowed with this login."));
      return;
    }
    this.#draw();
    this.onRead(this.#feeds);
  }

  /** Let a feed keep a symbol current. Raises what refuses it. */
  async keep(body) {
    await this.api.send("POST", "/feeds", {body});
    await this.read();
  }

  #draw() {
    const shown = JSON.stringify([this.#feeds, this.#mayStop]);
    if (shown === this.#table || !this.#mayRead) return;
    this.#table = shown;
    const heads = ["symbol", "source", "rows", "state", "newest", ["lag"], ["reconnects"], ["holes"], ""];
    byId("feeds").replaceChildren(this.#feeds.length ? table("Feeds", heads, this.#feeds.map((feed) => this.#row(feed)))
      : el("p", {}, "None. Tick “Keep it current” in “Fetch from …”, or set FEEDS."));
  }

  #row(feed) {
    const state = el("span", {class: "feed-state"}, feedDot(feed, false), ` ${WORDS[stateOf(feed)]}`, feed.message && el("small", {}, `: ${feed.message}`));
    const holes = feed.holes ? `${number(feed.holes)}, filled by ${number(feed.filled_rows)} rows` : "0";
    const stop = this.#mayStop && feed.wanted_by === "call" && el("button", {type: "button", "aria-label": `Stop the feed of ${feed.symbol}`, onclick: () => this.#stop(feed)}, "Stop");
    return [
      feed.symbol, feed.source, feed.timeframe ? `bars of ${feed.timeframe}` : feed.dataset, state, feed.newest && namedTime(feed.newest),
      feed.lag_seconds === null ? null : duration(feed.lag_seconds), number(feed.reconnects), holes,
      stop || (feed.wanted_by === "setting" ? "FEEDS" : ""),
    ];
  }

  #stop({symbol}) {
    return this.once(async () => {
      await this.api.send("DELETE", `/feeds/${encodeURIComponent(symbol)}`);
      await this.read();
    });
  }
}

/** A dot with the colour of a feed's state; hasWords: which also says the state to whoever points at it or hears it. */
export function feedDot(feed, hasWords = true) {
  const words = `Feed of ${feed.source}: ${WORDS[stateOf(feed)]}${feed.message && `: ${feed.message}`}`;
  return el("span", {class: "feed-dot", "data-feed": stateOf(feed), title: hasWords && words}, hasWords ? el("span", {class: "spoken"}, words) : null);
}
