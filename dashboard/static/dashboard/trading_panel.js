// Trading: one account's state, positions, orders and curve, live, and what a person may do about them.

import {AccountReader, ALL, BY_EVENTS, BY_FILLS, TOPIC} from "./account_reader.js";
import {byId, el} from "./dom.js";
import {EquityCurve} from "./equity_curve.js";
import {complain, say, settled} from "./messages.js";
import {ModelPanel} from "./model_panel.js";
import {OrderTicket} from "./order_ticket.js";
import {keep, state} from "./state.js";
import {StrategyPanel} from "./strategy_panel.js";
import {TradingControls} from "./trading_controls.js";
import {countTab, offerTabs} from "./tabs.js";
import {figures, limitsOf, tables} from "./trading_tables.js";
import {changeOf, ENDED, stateWords, words, zoneWords} from "./trading_words.js";
import {namedTime} from "./zone.js";

// Without the live feed everything is read so often; with it only what no event tells, such as an engine that went away.
const EVERY_MS = 10_000;
const SIGNED = "This account takes signed requests only, which a page cannot make: here it can be watched, and orders cancelled, positions "
  + "closed and trading stopped.";
const OF_ACCOUNT = ["positions", "orders", "executions", "account", "model"];
const MOST_ACCOUNTS = 200;
const MOST_ALERTS = 5;

export class TradingPanel {
  #scopes = new Set();
  #accounts = [];
  #account = null;
  #shown = {};
  #orders = new Map();
  #timer = null;
  #connection = "connecting";
  #isCut = false;
  // The newest event whose orders are shown; that after which the state was read; and that of the portfolio.
  #ordersAt = 0;
  #statusAt = 0;
  #portfolioAt = 0;

  constructor(api, feed) {
    Object.assign(this, {api, curve: new EquityCurve(), models: new ModelPanel(api), strategies: new StrategyPanel(api)});
    this.reader = new AccountReader(api, feed, {
      days: () => byId("equity-days").value, onAnswer: (name, answer) => this.#took(name, answer), onRestored: () => this.#restored(),
    });
    this.controls = new TradingControls(api, {shown: () => this.#summary(), onDone: (said) => this.#done(said)});
    this.ticket = new OrderTicket(api, {onPlaced: ({id}) => this.#placed(id)});
    const may = () => this.#scopes.has("trading:write");
    this.tables = tables({onClose: (position) => this.controls.close(position), onCancel: (order) => this.controls.cancel(order), may});
    byId("trading-account").addEventListener("change", ({target}) => this.#choose(target.value));
    byId("equity-days").addEventListener("change", () => this.reader.read("performance"));
    document.addEventListener("zone", () => {
      this.#draw();
      if (this.#shown.account) this.#drawAccount(this.#shown.account);
    });
  }

  /** Somebody has logged in. */
  async start() {
    this.#timer = setInterval(() => document.hidden || this.#tick(), EVERY_MS);
    await this.#tick();
  }

  /** The chart shows another symbol. */
  symbol(symbol) {
    this.ticket.symbol(symbol);
    this.strategies.symbol(symbol);
  }

  /** The address may name another account. */
  follow() {
    if (this.#accounts.some(({id}) => id === state.account) && state.account !== this.#account) this.#choose(state.account);
  }

  /** The state of the live feed. What was missed by events is read once it is back. */
  connection(name) {
    this.#connection = name;
    if (name === "lost") this.#isCut = true;
    if (name === "live" && this.#isCut) {
      this.#isCut = false;
      if (this.#account) this.reader.read(...ALL);
    }
    this.#drawConnection([]);
  }

  ping({degraded}) {
    this.#drawConnection(degraded ?? []);
  }

  #drawConnection(degraded) {
    say("trading-connection", [
      this.#isCut && "The connection is lost: what is shown is read every ten seconds, if the server can be reached.",
      degraded.includes("redis") && "Redis is away: trading goes on, and changes may be shown a little later.",
    ].filter(Boolean));
  }

  // Until there is an account it is asked for again and again.
  #tick() {
    if (!this.#account) return this.#open();
    return this.reader.read(...(this.#connection === "live" && !this.reader.isBehind ? BY_EVENTS : ALL));
  }

  async #open() {
    const {signal} = this.reader;
    try {
      this.#scopes = new Set((await this.api.get("/limits", {}, {signal})).data.scopes);
      if (!this.#scopes.has("trading:read")) return this.#refused();
      this.#accounts = (await this.api.get("/accounts", {limit: MOST_ACCOUNTS}, {signal})).data.accounts;
    } catch (error) {
      if (error.status === 403) return this.#refused();
      return complain(TOPIC, error, {isRead: false});
    }
    settled(TOPIC);
    this.strategies.start();
    byId("trading").hidden = false;
    byId("trading-none").hidden = this.#accounts.length > 0;
    byId("trading-parts").hidden = !this.#accounts.length;
    offerTabs(OF_ACCOUNT, this.#accounts.length > 0);
    byId("trading-account").replaceChildren(...this.#accounts.map(({id, name}) => el("option", {value: id}, name ? `${id}: ${name}` : id)));
    byId("trading-accounts").hidden = this.#accounts.length < 2;
    const wanted = this.#accounts.find(({id}) => id === state.account) ?? this.#accounts[0];
    if (wanted) await this.#choose(wanted.id);
  }

  // This login may not read trading, and will not.
  #refused() {
    clearInterval(this.#timer);
    byId("trading").hidden = true;
    offerTabs(OF_ACCOUNT, false);
  }

  async #choose(account) {
    this.#leave();
    this.#account = account;
    this.reader.follow(account);
    byId("trading-account").value = account;
    if (this.#accounts.length > 1) keep({account});
    this.ticket.of(account);
    this.ticket.symbol(state.symbol);
    this.#allow();
    this.reader.subscribe("portfolio", {onFrame: ({data, seq}) => this.#portfolio(data[0], Number(seq))});
    await this.reader.read(...ALL);
  }

  // Nothing of the account before is shown, and nothing is asked for it any longer.
  #leave() {
    this.reader.leave();
    this.#shown = {};
    this.#orders.clear();
    this.#ordersAt = this.#statusAt = this.#portfolioAt = 0;
    this.curve.clear();
    this.strategies.account(null);
    this.models.account(null);
    for (const each of Object.values(this.tables)) each.show([]);
    for (const id of ["trading-alerts", "trading-refusal", "trading-notice", "trading-figures", "trading-state"]) byId(id).replaceChildren();
  }

  // What the login may do, and what it may not in words.
  #allow() {
    const {requires_signature: isSigned} = this.#accounts.find(({id}) => id === this.#account);
    const [mayTrade, mayRisk] = ["trading:write", "risk:write"].map((scope) => this.#scopes.has(scope));
    byId("ticket-part").hidden = !mayTrade || isSigned;
    byId("trading-start").hidden = !mayTrade || isSigned;
    byId("trading-stop").hidden = !mayTrade && !mayRisk;
    byId("orders-cancel").hidden = !mayTrade;
    for (const id of ["halt-leave", "override-set"]) byId(id).hidden = !mayRisk || isSigned;
    byId("halt-how").hidden = mayRisk && !isSigned;
    say("trading-allowed", [
      !mayTrade && "This login may read trading, and place no orders: it lacks the scope trading:write.",
      isSigned && SIGNED,
    ].filter(Boolean));
  }

  // The database was restored from a backup: event numbers began again at an earlier one.
  #restored() {
    this.#ordersAt = this.#portfolioAt = 0;
    this.reader.read(...ALL);
  }

  #summary() {
    const {risk, config, portfolio} = this.#shown;
    return {account: this.#account, risk, config: config?.config, orders: this.#orders.size, positions: portfolio?.positions.length ?? 0};
  }

  #took(name, {data, headers}) {
    this.#shown[name] = data;
    if (name === "orders") this.#begin(data.orders, Number(headers.get("X-Account-Event")));
    else if (name in this.tables) this.tables[name].show(data[name]);
    else if (name === "performance") {
      this.curve.show(data);
      if (this.#shown.portfolio) this.curve.move(this.#shown.portfolio);
    } else if (name === "portfolio") this.#portfolio(data, Number(headers.get("X-Account-Event")));
    else if (name === "status") {
      this.#statusAt = Number(headers.get("X-Account-Event"));
      this.#catchUp();
    } else if (name === "config") this.curve.zones(data.config);
    else if (name === "account") this.#drawAccount(data);
    this.#draw();
  }

  // The open orders after an event, and from then on each change and each alert. An answer may be older than what the feed
  // has sent.
  #begin(orders, event) {
    if (event < this.#ordersAt) return;
    this.#ordersAt = event;
    this.#orders = new Map(orders.map((order) => [order.id, order]));
    this.#drawOrders();
    const from = String(event);
    this.reader.subscribe("orders", {from, onFrame: ({data, seq}) => this.#changed(data, Number(seq))});
    this.reader.subscribe("alerts", {from, onFrame: (frame) => this.#alerts(frame)});
  }

  #changed(orders, event) {
    this.#ordersAt = Math.max(this.#ordersAt, event);
    for (const order of orders) {
      const before = this.#orders.get(order.id);
      const said = changeOf(before, order);
      if (said) say("trading-notice", [said]);
      if (order.filled_quantity > (before?.filled_quantity ?? 0)) this.reader.soon(...BY_FILLS);
      if (order.strategy && !order.reduce_only) this.reader.soon("signals");
      if (ENDED.has(order.status)) this.#orders.delete(order.id);
      else this.#orders.set(order.id, order);
    }
    this.#drawOrders();
  }

  #drawOrders() {
    const newest = [...this.#orders.values()].sort((one, other) => other.submitted_at.localeCompare(one.submitted_at));
    this.tables.orders.show(newest);
    countTab("orders", newest.length);
    byId("orders-cancel").disabled = !newest.length;
  }

  // event: the account's newest one.
  #portfolio(portfolio, event) {
    this.#shown.portfolio = portfolio;
    this.tables.positions.show(portfolio.positions);
    countTab("positions", portfolio.positions.length);
    this.curve.move(portfolio);
    this.#portfolioAt = event;
    this.#catchUp();
    this.#draw();
  }

  // If the state was read before the portfolio's event, more than prices has changed.
  #catchUp() {
    if (this.#shown.status && this.#statusAt < this.#portfolioAt) this.reader.soon(...BY_EVENTS);
  }

  #alerts({at, data}) {
    const list = byId("trading-alerts");
    for (const {kind, message, symbol} of data) {
      list.prepend(el("li", {}, `${namedTime(at).slice(11)} ${words(kind)}${symbol ? `, ${symbol}` : ""}: ${message}`));
    }
    while (list.children.length > MOST_ALERTS) list.lastChild.remove();
  }

  #done(said) {
    if (said !== null) say("trading-notice", said ? [said] : []);
    this.reader.soon(...BY_EVENTS, ...(this.#connection === "live" ? [] : ALL));
  }

  #placed(id) {
    const order = this.#orders.get(id);
    if (!order && !this.#isFilled(id)) say("trading-notice", ["The order is accepted."]);
    if (this.#connection !== "live") this.reader.soon(...ALL);
  }

  #isFilled(id) {
    return this.#shown.executions?.executions.some(({order_id: order}) => order === id);
  }

  #draw() {
    const {status, portfolio, risk, config} = this.#shown;
    if (status) this.#drawStatus(status);
    if (risk) this.#drawRisk(risk);
    if (portfolio) byId("trading-figures").replaceChildren(...figures(portfolio));
    if (portfolio && config) {
      say("zone-name", [portfolio.dd_zone]);
      byId("zone").dataset.zone = portfolio.dd_zone;
      say("zone-text", [zoneWords(portfolio.dd_zone, config.config)]);
    }
  }

  #drawAccount(account) {
    const may = this.#scopes.has("trading:write") && !account.requires_signature;
    this.strategies.account(account, may);
    this.models.account(account, may);
  }

  #drawStatus(status) {
    byId("trading-status").textContent = words(status.status);
    byId("trading-status").dataset.status = status.engine === "away" ? "away" : status.status;
    say("trading-state", stateWords(status));
    byId("trading-start").disabled = ["running", "degraded", "halted"].includes(status.status);
    byId("halt").hidden = !status.halt;
    if (status.halt) {
      const {reason, at, symbol} = status.halt;
      const since = `Halted since ${namedTime(at)}${symbol ? `, for ${symbol}` : ""}: ${reason}.`;
      say("halt-text", [`${since} Nothing can be opened; orders that reduce, cancels and closes work.`]);
    }
  }

  #drawRisk({override, ...risk}) {
    this.tables.limits.show(limitsOf(risk));
    const mayRisk = !byId("override-set").hidden;
    byId("override-end").hidden = !override || !mayRisk;
    const {risk_level: level, until, by, reason} = override ?? {};
    say("override-text", override ? [`Overridden to ${level} % until ${namedTime(until)} by ${by}: ${reason}.`] : []);
  }
}
