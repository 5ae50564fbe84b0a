// What a person does to an account beside placing orders: start, stop, cancel, close, leave a halt, override. Each asks first,
// but for a cancel; each may be asked again, and does nothing then.

import {ask} from "./ask.js";
import {byId, number} from "./dom.js";
import {refuse} from "./refusals.js";
import {namedTime} from "./zone.js";

const REASON = {name: "reason", label: "Reason", required: true, maxlength: 500, note: "It is kept in the records."};
const AGAIN = "No answer came, so it is not known whether it was done. Asking again does no harm.";

export class TradingControls {
  #asked = new Set();

  /** shown: returns what the panel shows: account, risk, config, and how many orders and positions. onDone: something was done, and this is to be said; null: what is said stays. */
  constructor(api, {shown, onDone}) {
    Object.assign(this, {api, shown, onDone});
    const buttons = {
      "trading-start": () => this.#start(), "trading-stop": () => this.#stop(), "halt-leave": () => this.#leaveHalt(),
      "override-set": () => this.#override(), "override-end": () => this.#endOverride(), "orders-cancel": () => this.#cancelAll(),
    };
    for (const [id, act] of Object.entries(buttons)) byId(id).addEventListener("click", act);
  }

  // The feed may tell that the order is cancelled before the call is answered, so nothing is said after the answer.
  cancel({id, side, quantity, symbol}) {
    const {account} = this.shown();
    this.onDone(`Asked for the cancel: ${side} ${number(quantity)} ${symbol}.`);
    return this.#do(account, "DELETE", `/orders/${id}`, {parameters: {account}}, null);
  }

  async close({symbol, strategy, direction, quantity}) {
    const {account} = this.shown();
    const text = `An order at the market closes ${direction} ${number(quantity)} ${symbol}${strategy ? ` of ${strategy}` : ""}.`;
    if (!(await ask({title: `Close ${symbol}?`, text, yes: "Close the position", kind: "danger"}))) return;
    const path = `/accounts/${encodeURIComponent(account)}/positions/${encodeURIComponent(symbol)}/close`;
    await this.#do(account, "POST", path, {body: strategy ? {strategy} : undefined}, `Closing ${symbol}.`);
  }

  async #start() {
    const {account} = this.shown();
    const text = "From then on orders may open positions: yours, and those of every program that has a key for this account.";
    if (!(await ask({title: `Start trading on ${account}?`, text, yes: "Start trading"}))) return;
    await this.#do(account, "POST", "/trading/start", {parameters: {account}}, "Trading is started.");
  }

  async #stop() {
    const {account, orders, positions} = this.shown();
    const text = [
      `All orders (${orders}) are cancelled, protective stops too, and all positions (${positions}) are closed at the market.`,
      "A position whose market is closed is closed once it opens. It cannot be taken back.",
    ];
    const asked = await ask({title: `Stop trading on ${account}?`, text, fields: [{...REASON, required: false}], yes: "Stop and close all", kind: "danger"});
    if (!asked) return;
    await this.#do(account, "POST", "/trading/stop", {parameters: {account, reason: asked.reason}}, "The stop is on its way.");
  }

  async #cancelAll() {
    const {account, orders} = this.shown();
    const text = `All ${orders} orders of ${account} are cancelled, protective stops too. Positions stay.`;
    if (!(await ask({title: "Cancel all orders?", text, yes: "Cancel all orders", no: "Keep them", kind: "danger"}))) return;
    await this.#do(account, "DELETE", "/orders", {parameters: {account}}, "Asked for the cancel of all orders.");
  }

  async #leaveHalt() {
    const {risk: {halt}, account} = this.shown();
    const text = [
      halt ? `Halted since ${namedTime(halt.at)}: ${halt.reason}.` : "It is halted no longer.",
      "The account is afterwards started or stopped as it was before. After a halt for the drawdown the high-water mark begins anew at the "
      + "present equity. If there are several halts, this ends the oldest.",
    ];
    const asked = await ask({title: `Leave the halt of ${account}?`, text, fields: [REASON], yes: "Leave the halt"});
    if (asked) await this.#overrideBy(account, {release_halt: true, reason: asked.reason}, "The halt is released.");
  }

  async #override() {
    const {account, config} = this.shown();
    const {risk_level: usual, max_risk_level: most} = config;
    const level = {name: "risk_level", label: "Risk level, per cent of the equity", type: "number", step: "any", min: 0, max: most, required: true};
    const fields = [
      {...level, note: `What a trade may lose at its stop: usually ${usual}, at most ${most}.`},
      {name: "until", label: "Until (UTC)", type: "datetime-local", required: true}, REASON,
    ];
    const text = "It holds until this instant; zones scale it as ever.";
    const asked = await ask({title: `Override the risk level of ${account}?`, text, fields, yes: "Override"});
    if (!asked) return;
    const body = {risk_level: Number(asked.risk_level), until: `${asked.until.padEnd(19, ":00")}Z`, reason: asked.reason};
    await this.#overrideBy(account, body, "The risk level is overridden.");
  }

  async #endOverride() {
    const {account} = this.shown();
    const asked = await ask({title: "End the override?", text: "The configured risk level holds again.", fields: [REASON], yes: "End it"});
    if (asked) await this.#overrideBy(account, {end: true, reason: asked.reason}, "The override has ended.");
  }

  #overrideBy(account, body, said) {
    return this.#do(account, "POST", "/risk/override", {parameters: {account}, body}, said);
  }

  // Another account may be shown when the answer comes: then nothing is said.
  async #do(account, method, path, options, said) {
    // A second click before the answer asks nothing.
    const call = `${account} ${method} ${path}`;
    if (this.#asked.has(call)) return;
    this.#asked.add(call);
    byId("trading-refusal").replaceChildren();
    const isShown = () => account === this.shown().account;
    try {
      await this.api.send(method, path, options);
      if (isShown()) this.onDone(said);
    } catch (error) {
      if (isShown()) {
        refuse("trading-refusal", error, AGAIN);
        this.onDone("");
      }
    }
    this.#asked.delete(call);
  }
}
