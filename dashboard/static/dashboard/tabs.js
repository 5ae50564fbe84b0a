// The tabs below the chart: one panel is shown, which the address keeps.

import {byId} from "./dom.js";
import {keep, state} from "./state.js";

const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
const shownTabs = () => tabs.filter(({hidden}) => !hidden);
const nameOf = ({id}) => id.replace("tab-", "");

/** Show a panel by its name; the first one if there is none of this name, or if its tab is hidden. */
export function openTab(name) {
  const chosen = shownTabs().find((tab) => nameOf(tab) === name) ?? shownTabs()[0];
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
}

/** Show or hide these tabs. */
export function offerTabs(names, isOffered) {
  for (const name of names) byId(`tab-${name}`).hidden = !isOffered;
  openTab(state.tab);
}

/** Write a number, or nothing, beside a tab's name. */
export function countTab(name, count) {
  byId(`tab-${name}`).lastElementChild.textContent = count ? `(${count})` : "";
}

/** Call `read`, which returns milliseconds until the next call, as soon as a tab is open, and as long as it is. */
export function whileOpen(name, read) {
  const panel = byId(`panel-${name}`);
  let next = 0;
  const again = async () => {
    next = Infinity;
    next = Date.now() + (await read());
  };
  setInterval(() => {
    if (panel.hidden || document.hidden) next = 0;
    else if (Date.now() >= next) again();
  }, 250);
  return again;
}

/** A person chooses a tab. */
export function chooseTab(name) {
  keep({tab: name});
  openTab(name);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => chooseTab(nameOf(tab)));
  tab.addEventListener("keydown", ({key}) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[key];
    if (!step) return;
    const shown = shownTabs();
    const next = shown[(shown.indexOf(tab) + step + shown.length) % shown.length];
    chooseTab(nameOf(next));
    next.focus();
  });
}
