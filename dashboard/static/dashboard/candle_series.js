// Bars, absences and the time axis as lightweight-charts wants them: pure functions.

import {shownTime, zoneName} from "./zone.js";

const DAY = 86400;
const MARK = {year: 0, month: 1, time: 3};
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// How many empty places one absence gets at most: a long one must not push the candles out of the chart.
const MOST_PLACES = 60;
/** The reasons of absences in which bars are missing. Others are usual: they are listed, not drawn. */
export const MISSING = new Set(["gap", "pending", "halted"]);

/** The start of a bar in milliseconds since 1970. */
export const instantOf = ({timestamp}) => (typeof timestamp === "number" ? timestamp : Date.parse(timestamp));

/** The place of a bar in seconds since 1970: its start. A bar of a date is drawn at that date, whatever its session's zone. */
export function timeOf(bar) {
  if (bar.date) return Date.parse(bar.date) / 1000;
  return Math.floor(instantOf(bar) / 1000);
}

/** A bar's candle. One that is not final is hollow. */
export function candleOf(bar, colours) {
  const candle = {time: timeOf(bar), open: bar.open, high: bar.high, low: bar.low, close: bar.close};
  return bar.final === false ? {...candle, color: colours.hollow} : candle;
}

/** A bar's volume, in the colour of its candle. An unknown volume is an empty place. */
export function volumeOf(bar, colours) {
  if (bar.volume === null || bar.volume === undefined) return {time: timeOf(bar)};
  return {time: timeOf(bar), value: bar.volume, color: bar.close >= bar.open ? colours.upVolume : colours.downVolume};
}

/** The shortest distance of two neighbours in seconds: the bars' length. */
export function stepOf(bars) {
  let step = Infinity;
  for (let i = 1; i < bars.length; i++) step = Math.min(step, timeOf(bars[i]) - timeOf(bars[i - 1]));
  return Number.isFinite(step) && step > 0 ? step : DAY;
}

/** The empty places of absences: `{time, reason}` by time, none where a bar is. Closed hours get none. */
export function placesOf(absences, bars) {
  const taken = new Set(bars.map(timeOf));
  const step = stepOf(bars);
  const dated = bars.length > 0 && Boolean(bars[0].date);
  const places = new Map();
  for (const {start, end, reason} of absences) {
    if (!MISSING.has(reason)) continue;
    const [from, to] = [start, end].map((instant) => Date.parse(instant) / 1000);
    const first = dated ? Math.floor((from + to) / 2 / DAY) * DAY : from;
    const last = dated ? Math.max(to, first + 1) : to;
    for (let time = first, n = 0; time < last && n < MOST_PLACES; time += step, n++) {
      if (!taken.has(time)) places.set(time, {time, reason});
    }
  }
  return [...places.values()].sort((one, other) => one.time - other.time);
}

/** The mean of each bar's close and those before it, `count` in all, as points of a line. */
export function averageOf(bars, count) {
  let sum = 0;
  return bars.map((bar, index) => {
    sum += bar.close - (index >= count ? bars[index - count].close : 0);
    return {time: timeOf(bar), value: sum / count};
  }).slice(count - 1);
}

/** The time of a place on the axis: the date of bars of dates, else the time in the zone that is shown. */
export const shownPlace = (time, bars) => (bars[0]?.date ? new Date(time * 1000).toISOString().slice(0, 10) : shownTime(time));

/**
 * The text of a mark of the axis. kind: as the library numbers it. The library marks days of UTC: such a mark has its time, too, unless the
 * day begins there in the zone that is shown.
 */
export function markText(time, kind, bars) {
  const shown = shownPlace(time, bars);
  const clock = shown.slice(11);
  if (clock && kind >= MARK.time) return clock.slice(0, kind === MARK.time ? 5 : 8);
  if (kind === MARK.year) return shown.slice(0, 4);
  const [, month, day] = shown.slice(0, 10).split("-").map(Number);
  if (!clock && kind === MARK.month) return MONTHS[month - 1];
  const before = bars[bars.findIndex((bar) => timeOf(bar) === time) - 1];
  const begins = !clock || (before ? shownTime(timeOf(before)).slice(0, 10) !== shown.slice(0, 10) : clock.startsWith("00:00"));
  return `${day} ${MONTHS[month - 1]}${begins ? "" : ` ${clock.slice(0, 5)}`}`;
}

/** A bar in words. */
export function spoken(bar) {
  const when = bar.date ?? `${shownTime(timeOf(bar))} ${zoneName(timeOf(bar))}`;
  const open = bar.final === false ? ", not final" : "";
  return `${when}: open ${bar.open}, high ${bar.high}, low ${bar.low}, close ${bar.close}, volume ${bar.volume ?? "unknown"}${open}`;
}
