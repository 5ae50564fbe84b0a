// The list of instruments, with a search.

import {byId, debounced, el} from "./dom.js";
import {complain, settled} from "./messages.js";
import {state} from "./state.js";

const MOST = 12;

/** Show the list. onChoose gets an instrument. */
export function makeSymbols(api, onChoose) {
  const list = byId("symbols");
  const input = byId("search");
  let found = [];
  let aborter = null;

  const draw = () => {
    list.replaceChildren(...found.map((instrument) => item(instrument, onChoose)));
    byId("found").textContent = found.length === 0 ? "No instrument is found." : found.length < MOST ? "" : "Type to find more.";
  };
  const search = async () => {
    aborter?.abort();
    aborter = new AbortController();
    try {
      const {data} = await api.get("/instruments", {search: input.value.trim(), limit: MOST}, {signal: aborter.signal});
      found = data.instruments;
      settled("Search");
      draw();
    } catch (error) {
      complain("Search", error);
    }
  };
  input.addEventListener("input", debounced(250, search));
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (found.length) onChoose(found[0]);
  });
  // Coins are traded at all hours.
  return {search, draw, first: () => found.find((instrument) => instrument.class === "crypto") ?? found[0]};
}

function item(instrument, onChoose) {
  const chosen = instrument.symbol === state.symbol;
  const label = [instrument.class, instrument.exchange, instrument.name].filter(Boolean).join(" · ");
  return el("li", {}, el("button", {type: "button", "aria-pressed": String(chosen), onclick: () => onChoose(instrument)},
    el("strong", {}, instrument.symbol), el("span", {}, label)));
}
