// Trading in words: amounts, states, zones, refusals. Nothing here asks or draws.

import {duration, number, withMinus} from "./dom.js";
import {averagePrice, gain, price} from "./prices.js";
import {namedTime} from "./zone.js";

/** Money with two decimals; less than one unit with three digits, if they are more. */
export function money(value, currency = "") {
  if (value === null || value === undefined) return "not known";
  const [shown, most] = Math.abs(value) < 1 ? [Number(value.toPrecision(3)), 8] : [value, 2];
  return withMinus(`${shown.toLocaleString("en-US", {minimumFractionDigits: 2, maximumFractionDigits: most})} ${currency}`.trim());
}

export const inR = (value) => gain(value, (each) => `${each.toFixed(2)} R`);
export function percent(value) {
  if (value === null || value === undefined) return "not known";
  return value > 0 && value < 0.01 ? "less than 0.01 %" : withMinus(`${Number(value.toFixed(2))} %`);
}
export const words = (text) => String(text ?? "").replaceAll("_", " ");
export const titled = (text) => words(text).replace(/^./, (first) => first.toUpperCase());

/** What became of a signal, as the content of a cell. */
export function outcomeOf({symbol, status, average_price: average, reason}) {
  if (status === "rejected") return [`refused: ${reason}`, "loss"];
  const at = average === null ? "" : ` at ${averagePrice(average, symbol)}`;
  return [`${words(status)}${at}${reason ? `: ${words(reason)}` : ""}`, ""];
}

/** How long an order lasts. */
export const LASTS = {day: "for the day", gtc: "until it is cancelled", ioc: "immediate or cancel", fok: "fill or kill"};

/** An order in a line: `buy 10 AAPL at 189.5 or better, for the day`. */
export function orderWords(order) {
  const {side, quantity, symbol, type, limit_price: limit, stop_price: stop, time_in_force: lasts} = order;
  const prices = {
    market: "at the market", limit: `at ${price(limit, symbol)} or better`, stop: `once the price reaches ${price(stop, symbol)}`,
    stop_limit: `at ${price(limit, symbol)} or better once the price reaches ${price(stop, symbol)}`,
  };
  const more = [order.reduce_only && "reduce-only", order.strategy && `for ${order.strategy}`].filter(Boolean);
  return [`${side} ${number(quantity)} ${symbol} ${prices[type]}`, LASTS[lasts], ...more].join(", ");
}

/** What became of an order since it was last seen, or null if nothing a person waits for. */
export function changeOf(before, order) {
  const {side, symbol, filled_quantity: filled, quantity, average_price: average, status, reason} = order;
  const name = `${side} ${number(quantity)} ${symbol}`;
  if (filled > (before?.filled_quantity ?? 0)) {
    return `${status === "filled" ? "Filled" : `Filled ${number(filled)}`}: ${name}, on average at ${averagePrice(average, symbol)}.`;
  }
  if (!ENDED.has(status) || !before) return null;
  return `${titled(status)}: ${name}${reason ? ` (${words(reason)})` : ""}.`;
}

/** States that no other one follows. */
export const ENDED = new Set(["filled", "cancelled", "replaced", "rejected", "expired"]);

// A zone ends so many per cent below the drawdown at which it began.
const HYSTERESIS = 1;

/** What an account's drawdown zone means. config: the account's limits. */
export function zoneWords(zone, {caution, danger, halt}) {
  const ends = (begin) => percent(Math.max(begin - HYSTERESIS, 0));
  const below = "below the high-water mark";
  return {
    NORMAL: `All limits hold as they are configured. CAUTION begins ${percent(caution)} ${below}.`,
    CAUTION: `The risk level and the limits of exposure are halved. It ends ${ends(caution)} ${below}; `
      + `DANGER begins at ${percent(danger)}.`,
    DANGER: `The risk level and the limits of exposure are a quarter. It ends ${ends(danger)} ${below}; `
      + `HALT begins at ${percent(halt)}.`,
    HALT: "Nothing can be opened. Opening orders were cancelled; protective stops stay. Only a person ends it, with a reason.",
  }[zone];
}

const AWAY = "The engine is away: nothing can be previewed, opened or started. Cancels, closes and stops are recorded, and are the first "
  + "thing that it does once it is back.";
const DEGRADED = "Degraded: a symbol that the account holds or orders is in session and has no new price, or the engine cannot work for this "
  + "account. It opens nothing at an old price.";

/** The account's state in sentences. */
export function stateWords({status, engine, queued, halt, open_positions: held}) {
  const isAway = engine === "away";
  const waits = queued.map(({symbol, opens_at: at}) => {
    const when = at ? `is closed once its market opens, ${namedTime(at)}` : "waits for its market; when it opens is not known";
    return `${symbol} ${when}.`;
  });
  const said = {
    running: [],
    degraded: isAway ? [] : [DEGRADED],
    stopped: ["Stopped: nothing can be opened until somebody starts trading."],
    stopping: [`Stopping: orders are cancelled, then positions are closed (${held} left).`, ...waits],
    halted: halt ? [] : ["Halted: the drawdown zone is HALT."],
  };
  return [...(isAway ? [AWAY] : []), ...(said[status] ?? [])];
}

/** A number of a check, without its unit, but for seconds, which are minutes, hours or days. Percentages have six digits, money two decimals. */
export function checkNumber(value, unit) {
  if (value === null) return number(null);
  if (/^[A-Z]{3}$/.test(unit)) return money(value);
  return unit === "seconds" ? duration(value) : number(unit.startsWith("percent") ? Number(value.toPrecision(6)) : value);
}

/** The unit of a check, as it stands behind its number. */
export const checkUnit = (unit) => (unit === "seconds" ? "" : unit.replace(/^percent.*/, "%"));

/** A check of an order in a line. */
export function checkWords({name, value, limit, unit, message, passed}) {
  if (value === null || limit === null) return `${words(name)}: ${passed ? "passed" : "failed"}: ${message}`;
  return `${words(name)}: ${checkNumber(value, unit)} of ${checkNumber(limit, unit)} ${checkUnit(unit)}`.trim();
}
