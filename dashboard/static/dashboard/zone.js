// Times in the zone that a person has chosen: the exchange's, the browser's, or UTC.

import {instant} from "./dom.js";

let chosen, format, named, days;

/** name: of the IANA database; the browser's without one. If the zone is another, `document` gets the event `zone`. */
export function setZone(name) {
  const timeZone = name ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (timeZone === chosen) return;
  chosen = timeZone;
  const fields = {year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit"};
  named = new Intl.DateTimeFormat("en-US", {timeZone, timeZoneName: "short"});
  // Swedish dates are those of ISO 8601.
  format = new Intl.DateTimeFormat("sv-SE", {...fields, timeZone});
  days = new Intl.DateTimeFormat("en-GB", {day: "numeric", month: "short", timeZone});
  document.dispatchEvent(new Event("zone"));
}

/** The short name of the zone at a time in seconds since 1970, now without one, such as `EST`. */
export const zoneName = (seconds = Date.now() / 1000) => named.formatToParts(seconds * 1000).find(({type}) => type === "timeZoneName").value;

/** Seconds since 1970 as `2025-01-02 09:30:00`. */
export const shownTime = (seconds) => format.format(seconds * 1000);

/** An instant of an answer as `2025-01-02 09:30:00.5`. */
export function shownInstant(text) {
  return text ? `${shownTime(Math.floor(Date.parse(text) / 1000))}${instant(text).slice(19)}` : "–";
}

/** An instant of an answer as `2025-01-02 09:30:00 EST`. */
export function namedTime(text) {
  const seconds = Math.floor(Date.parse(text) / 1000);
  return text ? `${shownTime(seconds)} ${zoneName(seconds)}` : "–";
}

/** The time of an instant of today, `14:30:00`; of another day `27 Nov 14:30`. */
export function shortTime(text) {
  if (!text) return "–";
  const [date, clock] = shownTime(Date.parse(text) / 1000).split(" ");
  return date === shownTime(Date.now() / 1000).slice(0, 10) ? clock : `${days.format(Date.parse(text))} ${clock.slice(0, 5)}`;
}

setZone("UTC");
