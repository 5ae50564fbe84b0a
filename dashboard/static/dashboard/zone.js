// Times of the market in the zone that a person has chosen: the exchange's, the browser's, or UTC.

import {instant} from "./dom.js";

let format = null;
let named = null;

/** name: of the IANA database; the browser's without one. */
export function setZone(name) {
  const zone = name ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const fields = {year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit"};
  // Swedish dates are those of ISO 8601.
  named = new Intl.DateTimeFormat("en-US", {timeZone: zone, timeZoneName: "short"});
  format = new Intl.DateTimeFormat("sv-SE", {...fields, timeZone: zone});
}

/** The short name of the zone at a time in seconds since 1970, such as `EST`. */
export const zoneName = (seconds) => named.formatToParts(seconds * 1000).find(({type}) => type === "timeZoneName").value;

/** Seconds since 1970 as `2025-01-02 09:30:00`. */
export const shownTime = (seconds) => format.format(seconds * 1000);

/** An instant of an answer as `2025-01-02 09:30:00.5`. */
export function shownInstant(text) {
  return text ? `${shownTime(Math.floor(Date.parse(text) / 1000))}${instant(text).slice(19)}` : "–";
}

setZone("UTC");
