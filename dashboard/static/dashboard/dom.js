// Small helpers to make elements and to write values.

/**
 * Make an element. Attributes that begin with `on` are listeners; null and false ones are left out.
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A table in a frame that scrolls, with a name for screen readers. Heads are texts, those of numbers `[text]`; cells are texts or elements. */
export function table(name, heads, rows) {
  const kinds = heads.map((head) => (Array.isArray(head) ? "figure" : null));
  const head = el("tr", {}, ...heads.flat().map((text, index) => el("th", {scope: "col", class: kinds[index]}, text)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell, index) => el("td", {class: kinds[index]}, cell ?? "–"))));
  const inner = el("table", {}, el("caption", {class: "spoken"}, name), el("thead", {}, head), el("tbody", {}, ...body));
  return el("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": name}, inner);
}

/** An instant as `2025-01-02 14:30:00.5`, in UTC. */
export function instant(text) {
  return text ? String(text).replace("T", " ").replace(/Z$/, "").replace(/(\.\d{3})\d+$/, "$1") : "–";
}

/** A number as a text with the minus sign instead of a hyphen. */
export const withMinus = (text) => text.replace(/^-/, "−");

export function number(value) {
  return value === null || value === undefined ? "–" : withMinus(Number(value).toLocaleString("en-US", {maximumFractionDigits: 8}));
}

/** Bytes in words: `612KB`, `3.4GB`. */
export const size = (bytes) => new Intl.NumberFormat("en-US", {notation: "compact", style: "unit", unit: "byte", unitDisplay: "narrow"}).format(bytes);

/** The first of several names: `DEMOA, DEMOB, DEMOC and 5 more`. */
export const shortened = (names, most = 3) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

/** Seconds in words: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 days`. */
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** Wait, then call once with the newest arguments. */
export function debounced(milliseconds, call) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/** Call at most once in this time, at its end. */
export function throttled(milliseconds, call) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      call();
    }, milliseconds);
  };
}
