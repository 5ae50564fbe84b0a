// Tables whose values change while a person uses them.

import {el} from "./dom.js";

/**
 * @typedef {{head: string | (() => string), figure?: boolean, wide?: boolean, text?: (row: object) => string | [string, string],
 *   make?: (row: () => object) => Element}} Column head: one that names the zone of times is a function. text: of the cell, with a class if it is a pair. make: called once for
 *   each row; its argument gives the row as it is now. wide: a phone does not show it.
 */
export class LiveTable {
  #kept = new Map();
  #body = el("tbody");
  #rows = [];

  /** key: what tells rows apart. A row keeps its element, so that the focus, and a click that has begun, stay in it. */
  constructor(place, name, columns, {key, empty = "None."}) {
    Object.assign(this, {columns, key});
    this.heads = columns.map((column) => el("th", {scope: "col", class: classOf(column)}));
    const inner = el("table", {}, el("caption", {class: "spoken"}, name), el("thead", {}, el("tr", {}, ...this.heads)), this.#body);
    this.frame = el("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": name}, inner);
    this.nothing = el("p", {}, empty);
    place.replaceChildren(this.frame, this.nothing);
    document.addEventListener("zone", () => this.#redraw());
    this.#redraw();
  }

  #redraw() {
    this.columns.forEach(({head}, index) => {
      this.heads[index].textContent = typeof head === "function" ? head() : head;
    });
    this.show(this.#rows);
  }

  /** Show these rows in this order, and no others. */
  show(rows) {
    this.#rows = rows;
    this.frame.hidden = !rows.length;
    this.nothing.hidden = rows.length > 0;
    const keys = new Set(rows.map((row) => this.key(row)));
    for (const [key, {element}] of this.#kept) {
      if (keys.has(key)) continue;
      if (element.contains(document.activeElement)) this.frame.focus();
      element.remove();
      this.#kept.delete(key);
    }
    rows.forEach((row, place) => this.#put(row, place));
  }

  #put(row, place) {
    const kept = this.#kept.get(this.key(row)) ?? this.#made(row);
    kept.row = row;
    this.columns.forEach(({text}, index) => text && write(kept.element.cells[index], text(row)));
    const there = this.#body.children[place];
    if (there !== kept.element) this.#body.insertBefore(kept.element, there ?? null);
  }

  #made(row) {
    const kept = {row};
    kept.element = el("tr", {}, ...this.columns.map((column) => el("td", {class: classOf(column)}, column.make?.(() => kept.row))));
    this.#kept.set(this.key(row), kept);
    return kept;
  }
}

const classOf = ({figure, wide}) => [figure && "figure", wide && "wide"].filter(Boolean).join(" ") || null;

function write(cell, content) {
  const [text, kind = ""] = [content].flat();
  if (cell.textContent !== text) cell.textContent = text;
  if (cell.dataset.kind !== kind) cell.dataset.kind = kind;
}
