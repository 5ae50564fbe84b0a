// The order ticket: preview an order, then place it, once.

import {byId, el, table} from "./dom.js";
import {asNumberField, numberIn, price} from "./prices.js";
import {refuse} from "./refusals.js";
import {checkNumber, checkUnit, checkWords, money, orderWords, words} from "./trading_words.js";
import {namedTime} from "./zone.js";

// A preview holds for 30 seconds; the server decides by its own clock.
const VALID_MS = 30_000;
const MOST_TRIES = 4;
const NUMBERS = ["quantity", "limit_price", "stop_price", "take_profit", "stop_loss"];
// These refusals say that nothing was done; any other fault of the server leaves it open.
const NOTHING_DONE = new Set(["engine_unavailable", "audit_unavailable"]);
const CHANGED = "The market, the account or its limits have changed since. This is the new preview: nothing was placed yet.";
const EXPIRED = "The preview had expired. This is the new one: nothing was placed yet.";
const NOT_KNOWN = "No answer came, so it is not known whether the order was placed. Execute again: it is placed once at most.";

export class OrderTicket {
  #form = byId("ticket");
  #fields = byId("ticket-fields");
  #account = null;
  #preview = null;
  // What was entered for the preview.
  #order = null;
  #isBusy = false;
  #symbol = "";
  #timer = null;
  #turn = 0;

  /** onPlaced: an order was placed, with its `id`. */
  constructor(api, {onPlaced}) {
    Object.assign(this, {api, onPlaced});
    for (const name of NUMBERS) asNumberField(this.#form.elements[name]);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask(this.#document(event.submitter));
    });
    this.#form.addEventListener("input", () => {
      this.#fit();
      this.#drop();
    });
    this.#fit();
  }

  /** The account that orders are for. What was previewed for another one is dropped. */
  of(account) {
    this.#turn++;
    this.#account = account;
    this.#busy(false);
    this.#drop();
  }

  /** The symbol of the chart, which orders are for. What was previewed for another one is dropped. */
  symbol(symbol) {
    if (symbol !== this.#symbol) this.of(this.#account);
    this.#symbol = symbol;
  }

  // Fields that the type of order does not have are not shown.
  #fit() {
    const type = this.#form.elements.type.value;
    for (const [name, has] of [["limit_price", type.includes("limit")], ["stop_price", type.includes("stop")]]) {
      const field = this.#form.elements[name];
      field.parentElement.hidden = field.disabled = !has;
      field.required = has;
    }
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#preview = null;
    byId("preview").replaceChildren();
    byId("ticket-refusal").replaceChildren();
  }

  #busy(isBusy) {
    this.#isBusy = isBusy;
    this.#fields.disabled = isBusy;
    byId("execute")?.toggleAttribute("disabled", isBusy || !this.#preview?.would_be_accepted);
  }

  #document(submitter) {
    const entered = Object.fromEntries(new FormData(this.#form, submitter));
    const order = Object.fromEntries(Object.entries(entered).filter(([, value]) => value !== ""));
    for (const name of NUMBERS) if (name in order) order[name] = numberIn(order[name]);
    return {...order, symbol: this.#symbol, ...(order.reduce_only && {reduce_only: true})};
  }

  async #ask(order, note = "") {
    if (this.#isBusy) return;
    const turn = ++this.#turn;
    this.#drop();
    this.#order = order;
    this.#busy(true);
    try {
      const preview = await this.api.send("POST", "/trade/preview", {parameters: {account: this.#account}, body: order});
      if (turn === this.#turn) this.#show(preview, note);
    } catch (error) {
      if (turn === this.#turn) refuse("ticket-refusal", error);
    }
    if (turn === this.#turn) this.#busy(false);
  }

  #show(preview, note = "") {
    this.#drop();
    this.#preview = preview;
    const execute = el("button", {type: "button", id: "execute", class: "primary", onclick: () => this.#execute()}, "Execute");
    const discard = el("button", {type: "button", onclick: () => this.#giveUp()}, "Discard");
    const title = el("h4", {id: "preview-title", tabindex: "-1"}, `Preview: ${orderWords(preview.order)}`);
    byId("preview").replaceChildren(
      ...(note ? [el("p", {class: "notice"}, note)] : []), title, verdict(preview), el("p", {class: "buttons"}, execute, discard),
      el("small", {id: "preview-age"}, "Holds for 30 seconds."), figures(preview), checks(preview.checks),
    );
    execute.toggleAttribute("disabled", !preview.would_be_accepted);
    title.focus();
    this.#timer = setTimeout(() => (byId("preview-age").textContent = "It has expired: Execute asks for a new one."), VALID_MS);
  }

  #giveUp() {
    this.#turn++;
    this.#busy(false);
    this.#drop();
    this.#form.elements.quantity.focus();
  }

  async #execute() {
    if (this.#isBusy || !this.#preview) return;
    const [{preview_id: id}, account, turn] = [this.#preview, this.#account, ++this.#turn];
    byId("ticket-refusal").replaceChildren();
    this.#busy(true);
    try {
      const order = await this.#place(id, () => turn === this.#turn);
      // Also of a preview that was discarded meanwhile.
      if (account === this.#account) this.onPlaced(order);
      if (turn !== this.#turn) return;
      this.#drop();
    } catch (error) {
      if (turn !== this.#turn) return;
      if (isUnanswered(error)) return this.#leaveOpen();
      this.#busy(false);
      if (error.code === "preview_stale") this.#show(error.problem.preview, CHANGED);
      else if (error.code === "preview_expired") this.#ask(this.#order, EXPIRED);
      else refuse("ticket-refusal", error);
      return;
    }
    this.#busy(false);
  }

  // A preview is spent once: whoever asks again gets the order that it made.
  async #place(id, isWanted) {
    for (let tries = 1; ; tries++) {
      try {
        return await this.api.send("POST", "/trade/execute", {body: {preview_id: id}, headers: {"Idempotency-Key": id.slice(-40)}});
      } catch (error) {
        if (error.code === "preview_used") return {id: error.problem.order_id};
        if (!isUnanswered(error) || tries === MOST_TRIES || !isWanted()) throw error;
        byId("ticket-refusal").replaceChildren("No answer came. Asking again: the order is placed once at most.");
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
      }
    }
  }

  // The fields stay closed: only Execute and Discard go on from here.
  #leaveOpen() {
    this.#isBusy = false;
    byId("execute").disabled = false;
    byId("ticket-refusal").replaceChildren(NOT_KNOWN);
  }
}

const isUnanswered = ({code, status}) => code === "unreachable" || (status >= 500 && !NOTHING_DONE.has(code));

function figures({currency, cost, worst_cost: worst, fee, margin, exposure_after: exposure, gross_after: gross, equity, order, reference}) {
  const {bid, ask, last, at} = reference;
  const prices = Object.entries({bid, ask, last}).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${price(value, order.symbol)}`);
  const rows = {
    [order.side === "buy" ? "Cost with the fee" : "Value with the fee"]: money(cost, currency),
    [order.limit_price === null ? "At worst, at the collar" : "At worst, at the limit"]: money(worst, currency),
    Fee: money(fee, currency), "Required margin": money(margin, currency),
    [`Exposure in ${order.symbol} then`]: money(exposure, currency), "Exposure in all then": money(gross, currency),
    Equity: money(equity, currency), Market: `${prices.join(", ")} (${namedTime(at)})`,
  };
  return el("dl", {}, ...Object.entries(rows).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function checks(rows) {
  return table("Checks", ["check", ["value"], ["limit"]], rows.map(({name, passed, value, limit, unit}) => {
    const result = passed ? "✓" : value === null && limit !== null ? "?" : "✗";
    const [mark, spoken] = [el("span", {"aria-hidden": "true"}, `${result} `), el("span", {class: "spoken"}, passed ? "passed: " : "failed: ")];
    const kind = passed ? "passed" : "failed";
    return [el("span", {class: kind}, mark, spoken, words(name)), checkNumber(value, unit), `${checkNumber(limit, unit)} ${checkUnit(unit)}`];
  }));
}

function verdict({would_be_accepted: isAccepted, checks: all}) {
  if (isAccepted) return el("p", {}, "It would be accepted.");
  const failed = all.filter(({passed}) => !passed).map((check) => el("li", {}, checkWords(check)));
  return el("div", {class: "failed"}, el("p", {}, "It would be refused:"), el("ul", {}, ...failed));
}
