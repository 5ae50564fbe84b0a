// What is on the screen, kept in the address's fragment, so that a reload or a link keeps its place.

// What of the market is shown, and how.
export const CHOICES = ["resolution", "session", "hours", "anchor", "adjustment", "averages", "tz"];
const NAMES = ["symbol", "class", ...CHOICES, "tab", "from", "to", "as_of", "account"];
const PATHS = {equity: "equities", future: "futures", crypto: "crypto", fx: "fx", option: "options"};

export const state = {};
let written = "";

export function readState() {
  // Also of a query, as people write it: `/?symbol=DEMOA`.
  if (location.search) history.replaceState(null, "", `/#${location.hash.slice(1) || location.search.slice(1)}`);
  written = location.hash;
  const found = new URLSearchParams(location.hash.slice(1));
  for (const name of NAMES) state[name] = found.get(name) ?? "";
  state.resolution ||= "1m";
}

/** Change some values and write them to the address. Another symbol makes an entry in the history. */
export function keep(changes) {
  const isOther = Boolean(state.symbol && changes.symbol && changes.symbol !== state.symbol);
  Object.assign(state, changes);
  // Back, forward or a link has changed the address: its event is on the way, and what it says is read then.
  if (location.hash !== written) return;
  const filled = NAMES.filter((name) => state[name] !== "").map((name) => [name, state[name]]);
  const address = `#${new URLSearchParams(filled)}`;
  if (address === written) return;
  history[isOther ? "pushState" : "replaceState"](null, "", address);
  written = location.hash;
}

/** The path of a class of instruments. */
export const marketClass = (kind) => PATHS[kind] ?? "equities";

export const classPath = (kind) => `/market-data/${marketClass(kind)}`;

/** A symbol's path below /market-data, such as `/market-data/equities/AAPL`, by the instrument's class. */
export const marketPath = (kind, symbol, rest = "") => `${classPath(kind)}/${encodeURIComponent(symbol)}${rest}`;

/** The path of the symbol that is shown. */
export const symbolPath = (rest = "") => marketPath(state.class, state.symbol, rest);

/** Whether the class has bars. */
export const hasBars = () => state.class !== "option";

/** The parameters that say which bars. */
export function barParameters() {
  const {resolution, session, hours, anchor, adjustment, as_of} = state;
  return {resolution, session, hours, anchor, adjustment, as_of};
}

/** Whether the live feed has these bars: it has no adjustments. */
export const isOfFeed = () => !state.adjustment || state.adjustment === "raw";

/** The channel of these bars in the live feed. */
export function barChannel() {
  const options = ["session", "hours", "anchor"].filter((name) => state[name]).map((name) => `${name}=${state[name]}`);
  return `bars.${state.resolution}:${state.symbol}${options.length ? `?${options.join("&")}` : ""}`;
}
