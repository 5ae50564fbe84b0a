// One bar: its prints, what each set and why, and its revisions.

import {byId, el, number, table} from "./dom.js";
import {complain, settled} from "./messages.js";
import {price} from "./prices.js";
import {state, symbolPath} from "./state.js";
import {chooseTab} from "./tabs.js";
import {words} from "./trading_words.js";
import {shownInstant, zoneName} from "./zone.js";

const MOST_PRINTS = 100;
const PARTS = ["open", "high", "low", "close"];
const TOPIC = "Explanation";

let aborter = null;

/** Explain no bar. */
export function forgetBar() {
  aborter?.abort();
  byId("bar-title").textContent = "Bar";
  byId("bar").replaceChildren("A click on a bar, or Enter, shows what set it, and its prints.");
}

/** Explain a bar in the page. */
export async function explain(api, bar) {
  aborter?.abort();
  aborter = new AbortController();
  const place = byId("bar");
  chooseTab("bar");
  byId("bar-title").textContent = `Bar of ${bar.date ?? `${shownInstant(bar.timestamp)} ${zoneName(Date.parse(bar.timestamp) / 1000)}`}`;
  if (["1w", "1M"].includes(state.resolution)) return place.replaceChildren("Bars up to a day are explained, not weeks and months.");
  place.replaceChildren("Reading its prints …");
  const {resolution, session, hours, anchor, as_of} = state;
  const query = {at: bar.timestamp, resolution, session, hours, anchor, as_of, limit: MOST_PRINTS};
  try {
    const {data} = await api.get(symbolPath("/ohlcv/explain"), query, {signal: aborter.signal});
    place.replaceChildren(...explanation(data));
    settled(TOPIC);
  } catch (error) {
    if (error.name === "AbortError") return;
    place.replaceChildren("It could not be explained.");
    complain(TOPIC, error);
  }
}

function explanation(data) {
  return [
    el("p", {id: "bar-values"}, values(data.bar), ` Bar policy: ${data.policy}.`),
    table("What set the bar", ["value", "price", "by the print of", "size", "conditions"], setters(data)),
    el("p", {}, volumes(data)),
    el("h3", {}, `Prints (${Math.min(data.prints.length, MOST_PRINTS)} of ${number(data.prints_total)})`),
    table("Prints", ["time", "price", "size", "venue", "conditions", "sets", "why"], data.prints.map(print)),
    el("h3", {}, "Revisions"),
    ...revisions(data.revisions),
  ];
}

function values(bar) {
  if (!bar) return "There is no bar.";
  const parts = PARTS.map((name) => `${name} ${price(bar[name], state.symbol)}`).join(", ");
  const end = bar.final === undefined ? "" : `, ${bar.final ? "final" : "not final"}`;
  return `${parts}, volume ${number(bar.volume)}, ${number(bar.trade_count)} ${bar.trade_count === 1 ? "trade" : "trades"}${end}.`;
}

function setters({bar, sets, stored}) {
  return PARTS.map((part) => {
    const by = sets?.[part];
    const place = by ? shownInstant(by.timestamp) : stored ? "a stored bar" : "–";
    return [part, price(bar?.[part], state.symbol), place, number(by?.volume), conditionWords(by?.conditions)];
  });
}

function volumes({volume}) {
  if (!volume) return "";
  const names = {own: "of its own prints", credited: "credited from later prints", left_out: "left out", stored: "of stored bars"};
  return `Volume: ${Object.entries(names).map(([name, text]) => `${number(volume[name])} ${text}`).join(", ")}.`;
}

const conditionWords = (conditions) => (conditions?.length ? words(conditions.join(", ")) : "regular");

function print(each) {
  return [
    shownInstant(each.timestamp).slice(11), price(each.price, state.symbol), number(each.volume), each.exchange, conditionWords(each.conditions),
    each.sets?.length ? each.sets.join(", ") : "–", why(each),
  ];
}

// For what the print counts, and the word among its conditions that decided it.
function why({part, counts, because}) {
  const names = {open_close: "open and close", high_low: "high and low", volume: "volume"};
  const reasons = Object.entries(names).map(([name, text]) => {
    const word = because?.[name] ? ` (${words(because[name])})` : "";
    return counts?.[name] ? null : `not for ${text}${word}`;
  }).filter(Boolean);
  const place = part === "own" ? [] : [words(part)];
  return [...place, ...reasons].join("; ") || "counts for all";
}

function revisions(rows) {
  if (rows === null) return [el("p", {}, "They are listed for UTC bars with all hours. The slider shows this bar as it was.")];
  if (!rows.length) return [el("p", {}, "None: no later commit changed this bar.")];
  const side = (row, when) => (row[`${when}_open`] === null ? "no bar"
    : `${PARTS.map((part) => price(row[`${when}_${part}`], state.symbol)).join(" / ")} × ${number(row[`${when}_volume`])}`);
  const cells = rows.map((row) => [String(row.commit), shownInstant(row.committed_at), side(row, "before"), side(row, "after")]);
  return [table("Revisions", ["commit", "at", "before", "after"], cells),
    el("p", {}, "Open / high / low / close × volume.")];
}
