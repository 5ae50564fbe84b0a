// The trading hours of an exchange, and its time zone.

const YEARS_MS = 2 * 365 * 86_400_000;
const calendars = new Map();

/** The zone and the dates of the last two years of an exchange: `{timezone, dates}`. */
export async function calendarOf(api, exchange) {
  if (!calendars.has(exchange)) {
    const day = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);
    const range = {start: day(Date.now() - YEARS_MS), end: day(Date.now() + 86_400_000)};
    const {data: {timezone, dates}} = await api.get("/calendar", {exchange, ...range});
    calendars.set(exchange, {timezone, dates: dates.map(({open, close}) => [Date.parse(open) / 1000, Date.parse(close) / 1000])});
  }
  return calendars.get(exchange);
}

/** Of ascending times in seconds since 1970, those outside of the regular hours `[[open, close]]`. Before the first date none is. */
export function outsideOf(times, dates) {
  let index = 0;
  return times.filter((time) => {
    while (index < dates.length && dates[index][1] <= time) index++;
    return time >= (dates[0]?.[0] ?? Infinity) && !(index < dates.length && dates[index][0] <= time);
  });
}
