// Prices as texts, with the decimals of their instrument.

import {withMinus} from "./dom.js";

const MOST_DECIMALS = 8;
const DAY_MS = 86_400_000;
// Decimals by symbol: those of the tick, and the most that a price had.
const ticks = new Map();
const seen = new Map();

/** How many decimals a number has. */
export function decimalsOf(value) {
  const [digits, exponent = "0"] = String(Number(value)).split("e");
  return Math.min(MOST_DECIMALS, Math.max(0, (digits.split(".")[1]?.length ?? 0) - Number(exponent)));
}

/** Learn an instrument's tick. */
export function learnTick({symbol, tick_size: tick}) {
  if (tick) ticks.set(symbol, decimalsOf(tick));
}

/** Learn from prices of an instrument, which may have no tick. */
export function learnPrices(symbol, prices) {
  const known = prices.filter((each) => each !== null && each !== undefined).map(decimalsOf);
  seen.set(symbol, Math.max(seen.get(symbol) ?? 2, ...known));
}

/** A price with at least the decimals of its symbol. */
export function price(value, symbol, most = MOST_DECIMALS) {
  if (value === null || value === undefined) return "–";
  const fewest = ticks.get(symbol) ?? seen.get(symbol) ?? 2;
  return withMinus(value.toLocaleString("en-US", {minimumFractionDigits: fewest, maximumFractionDigits: Math.max(fewest, most)}));
}

/** An average of prices: with no more decimals than they have, but for one below 1 whose decimals are not known. */
export function averagePrice(value, symbol) {
  const isKnown = ticks.has(symbol) || seen.has(symbol) || Math.abs(value) >= 1;
  return price(value, symbol, isKnown ? 0 : MOST_DECIMALS);
}

/**
 * The last price of a snapshot, of any hours, and the change of its newest daily bar since the close before (on the first day since the open).
 * live: a trade that came after the snapshot was read. since: the date of that close, unless it is the day before.
 */
export function dayOf({live, trade, minute_bar: minute, daily_bar: bar, previous_daily_bar: before} = {}) {
  const isMinute = minute && !(bar && Date.parse(bar.timestamp) > Date.parse(minute.timestamp));
  // A bar is adjusted for a split since the newest trade.
  const last = live?.price ?? (isMinute ? minute : bar)?.close ?? trade?.price ?? null;
  const base = before?.close ?? bar?.open ?? null;
  const change = base === null ? null : bar.close - base;
  const since = before && Date.parse(bar.date) - Date.parse(before.date) > DAY_MS ? before.date : null;
  return {last, change, percent: base ? change / Math.abs(base) * 100 : null, since};
}

/** A gain or loss as the content of a cell: the text with its sign, and `gain` or `loss`. What reads as zero is neither. */
export function gain(value, text) {
  if (value === null || value === undefined) return ["–", ""];
  const shown = text(Math.abs(value));
  if (!/[1-9]/.test(shown)) return [shown, ""];
  return value > 0 ? [`+${shown}`, "gain"] : [`−${shown}`, "loss"];
}

/** The same of a percentage. */
export const percentGain = (percent) => gain(percent, (each) => `${each.toFixed(2)} %`);

/** The same of a change of the price: `+1.25 (+0.96 %)`. */
export function changeWords(change, percent, symbol) {
  if (change === null) return ["", ""];
  const [text, kind] = gain(change, (each) => averagePrice(each, symbol));
  return [percent === null ? text : `${text} (${percentGain(percent)[0]})`, kind];
}

/** Let a field of texts take a number. Chromium's fields of numbers drop a comma: 1,5 would be 15. 1,500 may be two numbers. */
export function asNumberField(field) {
  field.pattern = "-?([0-9]+|[0-9]*[.][0-9]+|0,[0-9]+|[0-9]+,([0-9]{1,2}|[0-9]{4,}))";
  field.title = "A number such as 1.5 or 1,5, without marks of thousands";
}

/** The number in a field of `asNumberField`. */
export const numberIn = (text) => Number(text.replace(",", "."));
