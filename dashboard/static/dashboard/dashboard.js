// The dashboard: choose a symbol, and wire the panels.

import {AlertsPanel} from "./alerts_panel.js";
import {Api} from "./api.js";
import {AsOf} from "./asof.js";
import {ChartPanel, describe} from "./chart_panel.js";
import {byId} from "./dom.js";
import {explain, forgetBar} from "./explain.js";
import {ExportsPanel} from "./exports_panel.js";
import {Feed} from "./feed.js";
import {FeedsPanel} from "./feeds_panel.js";
import {FetchPanel} from "./fetch_panel.js";
import {Headline} from "./headline.js";
import {complain, note, settled, wasAway} from "./messages.js";
import {learnTick} from "./prices.js";
import {CHOICES, keep, readState, state} from "./state.js";
import {Status} from "./status.js";
import {openTab} from "./tabs.js";
import {Tape} from "./tape.js";
import {TradingPanel} from "./trading_panel.js";
import {WatchList} from "./watch_list.js";

const LOG_OUT = "You are still logged in";

const api = new Api({
  onEnd: logIn,
  onWait: (seconds) => (seconds ? complain("Limit", {code: "rate_limited", message: `Waiting ${seconds} s for the rate limit.`})
    : settled("Limit")),
});
const feed = new Feed({
  token: (options) => api.token(options),
  onState: (name, seconds) => {
    connection = [name, seconds];
    showConnection();
    trading?.connection(name);
    if (name === "live" && wasAway()) status.refresh();
  },
  onPing: (ping) => {
    status.ping(ping);
    trading?.ping(ping);
  },
});
const status = new Status(api, {onRead: repeat});
let connection = ["connecting", 0];
// The fed symbols that have rows, once it is known.
let fed = null;
let panel, tape, asOf, watch, headline, trading, alerts, exported, fetching, feeds;

function showConnection() {
  const [name, seconds] = connection;
  const words = {
    live: "Live",
    connecting: "Connecting …",
    lost: `Connection lost. Next try in ${Math.ceil(seconds ?? 0)} s.`,
    paused: "As it was known then: live updates are not shown.",
  };
  const shown = state.as_of && name === "live" ? "paused" : name;
  byId("connection").textContent = words[shown];
  byId("connection").dataset.state = shown;
}

// The server answers again: what it was not asked for meanwhile is asked for now.
function repeat() {
  if (!wasAway() || !state.symbol) return;
  if (wasAway("Search")) watch.search();
  // It was asked for by a click, which may be repeated.
  if (wasAway("Explanation")) settled("Explanation");
  show();
}

function build() {
  panel = new ChartPanel(api, feed, {onBar: (bar) => explain(api, bar)});
  tape = new Tape(api, feed, {
    onRead: (trades, isAll) => status.trades(trades, isAll),
    onFrame: (frame) => {
      status.frame(frame);
      asOf.note(frame);
      headline.frame(frame);
      panel.traded();
    },
  });
  asOf = new AsOf(api, changedAsOf);
  trading = new TradingPanel(api, feed);
  alerts = new AlertsPanel(api);
  exported = new ExportsPanel(api);
  feeds = new FeedsPanel(api, {onRead: followFeeds});
  fetching = new FetchPanel(api, {onFetched: showFetched, onKeep: (body) => feeds.keep(body)});
  watch = new WatchList(api, (instrument) => choose(instrument));
  headline = new Headline(api, feed, {onSnapshot: (snapshot) => watch.show(snapshot)});
  for (const name of CHOICES) {
    byId(name).addEventListener("change", () => {
      const isOfBars = !["tz", "averages"].includes(name);
      keep({[name]: byId(name).value, ...(isOfBars && {from: "", to: ""})});
      forgetBar();
      panel.load();
      if (name === "tz") tape.load();
    });
  }
  byId("newest").addEventListener("click", () => {
    keep({from: "", to: ""});
    panel.load();
  });
  byId("logout").addEventListener("click", async () => {
    try {
      await api.logout();
    } catch (error) {
      complain(LOG_OUT, error, {isRead: false});
      return;
    }
    logIn();
  });
  window.addEventListener("hashchange", () => {
    readState();
    forgetBar();
    fetching.hide();
    openTab(state.tab);
    trading.follow();
    show();
  });
}

function changedAsOf() {
  showConnection();
  panel.load();
  tape.load();
  headline.load();
}

async function choose(instrument) {
  keep({symbol: instrument.symbol, class: instrument.class, from: "", to: "", as_of: ""});
  forgetBar();
  fetching.hide();
  await show(instrument);
}

// Show how feeds do. When the first rows of a symbol come, its chart begins.
async function followFeeds(read) {
  watch.feeds(read);
  const before = fed;
  fed = new Set(read.filter(({newest}) => newest).map(({symbol}) => symbol));
  const begun = before ? [...fed].filter((symbol) => !before.has(symbol)) : [];
  if (!begun.length) return;
  await watch.search();
  if (begun.includes(state.symbol) && panel.isEmpty) show();
  else if (!state.symbol && watch.first && byId("fetch").hidden) choose(watch.first);
}

// Show the chart of what was fetched, unless somebody has left the form meanwhile.
async function showFetched({symbol, class: kind, resolution}, text) {
  await watch.search();
  if (byId("fetch").hidden) return;
  const hasFocus = byId("fetch").contains(document.activeElement);
  keep({symbol, class: kind, resolution, from: "", to: "", as_of: ""});
  forgetBar();
  fetching.hide();
  if (hasFocus) byId("chart").focus();
  await show();
  note(text);
}

async function show(known = null) {
  for (const name of CHOICES) byId(name).value = state[name];
  showConnection();
  byId("symbol").textContent = state.symbol || "No symbol";
  const {symbol} = state;
  if (!symbol) return;
  panel.place();
  trading.symbol(state.symbol);
  alerts.symbol(state.symbol);
  exported.symbol(state.symbol);
  watch.mark();
  headline.clear();
  asOf.forget();
  try {
    const instrument = known ?? (await api.get(`/instruments/${encodeURIComponent(state.symbol)}`)).data;
    keep({class: instrument.class});
    learnTick(instrument);
    await panel.instrument(instrument);
    if (symbol !== state.symbol) return;
    byId("about").textContent = describe(instrument);
    byId("session").disabled = byId("hours").disabled = byId("anchor").disabled = !instrument.exchange && !instrument.calendar;
    settled("Symbol");
  } catch (error) {
    complain("Symbol", error);
    byId("about").textContent = "";
    panel.clear("There are no bars.");
    tape.clear();
    status.forget();
    if (error.code === "unknown_symbol") fetching.offer(symbol);
    return;
  }
  await Promise.all([panel.load(), tape.load(), headline.load(), status.forget()]);
  await asOf.load();
}

async function begin() {
  byId("app").hidden = false;
  byId("logout").hidden = false;
  build();
  forgetBar();
  openTab(state.tab);
  feed.start();
  status.start();
  const [, mayFetch] = await Promise.all([watch.search(), startFetching()]);
  await feeds.start({mayStop: mayFetch});
  const {first} = watch;
  if (!state.symbol && first) keep({symbol: first.symbol, class: first.class});
  if (!state.symbol && !wasAway("Search")) {
    if (feeds.areWanted) note("The chart begins with the first row of a feed.");
    else fetching.offer();
  }
  await Promise.all([show(), trading.start()]);
}

// Who may not fetch is not offered it.
async function startFetching() {
  let mayFetch = false;
  try {
    mayFetch = (await api.get("/limits")).data.scopes.includes("backfill:write");
  } catch (error) {
    complain("Fetch", error, {isRead: false});
  }
  fetching.start(mayFetch);
  return mayFetch;
}

/** Leave for the login page, which leads back here. */
function logIn() {
  location.assign(`/login?${new URLSearchParams({next: `${location.pathname}${location.hash}`})}`);
}

async function open() {
  try {
    if (!(await api.restore())) return logIn();
    settled("Login");
    await begin();
  } catch (error) {
    complain("Login", error);
    setTimeout(open, 5000);
  }
}

readState();
open();
