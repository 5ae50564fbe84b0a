// Strategies: backtests, started and watched here, and the strategy that decides for the account.

import {ask} from "./ask.js";
import {byId, el, instant, number, shortened} from "./dom.js";
import {LiveTable} from "./live_table.js";
import {complain, say, settled} from "./messages.js";
import {percentGain} from "./prices.js";
import {oneAtATime} from "./refusals.js";
import {offerTabs} from "./tabs.js";
import {percent, titled, words} from "./trading_words.js";
import {namedTime, shortTime, zoneName} from "./zone.js";

const TOPIC = "Backtests";
const MOST_ROWS = 10;
// While a backtest runs it is looked at so often. What could not be read is read again less often.
const WATCH_MS = 1500;
const AGAIN_MS = 10_000;
const UNANSWERED = "No answer came, so it is not known whether it was done. The list below, or the account, will tell.";

const isEnded = ({state}) => !["queued", "running"].includes(state);
const day = (at) => instant(at).slice(0, 10);
const pageOf = ({id}) => `/api/v1/backtests/${id}`;

export class StrategyPanel {
  #form = byId("strategy-form");
  #strategies = [];
  #inputs = new Map();
  #account = null;
  // Whether a person has chosen the symbols, so that the chart's no longer replaces them.
  #isChosen = false;
  #hasBegun = false;
  #timer = null;
  #turn = 0;
  #watched = [];

  constructor(api) {
    this.api = api;
    this.once = oneAtATime("strategy-refusal", UNANSWERED);
    this.table = new LiveTable(byId("backtests"), "Newest backtests", columns(), {key: ({id}) => id, empty: "No backtest was started yet."});
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#form.elements.symbols.addEventListener("input", ({target}) => (this.#isChosen = target.value !== ""));
    this.#form.elements.strategy.addEventListener("change", () => this.#drawParameters());
    const buttons = {"strategy-assign": () => this.#assign(), "strategy-end": () => this.#takeAway(), "backtest-cancel": () => this.#cancel()};
    for (const [id, act] of Object.entries(buttons)) byId(id).addEventListener("click", act);
  }

  /** Somebody has logged in who may read trading. */
  async start() {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    await this.#begin();
  }

  // The section is shown once the strategies are known.
  async #begin() {
    try {
      this.#strategies = (await this.api.get("/strategies")).data.strategies;
    } catch (error) {
      complain(TOPIC, error, {isRead: false});
      if (!error.isFinal) this.#timer = setTimeout(() => this.#begin(), AGAIN_MS);
      return;
    }
    this.#form.elements.strategy.replaceChildren(...this.#strategies.map(({name}) => el("option", {}, name)));
    this.#drawParameters();
    offerTabs(["strategies"], true);
    await this.#read();
  }

  /** The symbol of the chart. */
  symbol(symbol) {
    if (!this.#isChosen) this.#form.elements.symbols.value = symbol;
  }

  /** The document of the account that is shown, or null. may: whether the login may assign a strategy to it. */
  account(account, may = false) {
    this.#account = account;
    byId("strategy-assign").hidden = !account || !may;
    byId("strategy-end").hidden = !account?.strategy || !may;
    say("strategy-assigned", account ? [assignedWords(account)] : []);
    if (account) byId("strategy-assign").textContent = `Assign to ${account.id} …`;
  }

  get #strategy() {
    return this.#strategies.find(({name}) => name === this.#form.elements.strategy.value);
  }

  // A field for each parameter, with its default and bounds.
  #drawParameters() {
    const {description, parameters} = this.#strategy;
    this.#inputs = new Map(Object.entries(parameters.properties).map(([name, schema]) => [name, inputOf(name, schema)]));
    const fields = [...this.#inputs].map(([name, input]) => el("span", {}, el("label", {for: input.id}, titled(name)), input));
    byId("strategy-parameters").replaceChildren(...fields);
    byId("strategy-about").textContent = [description, parameters.description].join(" ").replace(/`/g, "");
  }

  #chosen() {
    const {strategy, symbols} = this.#form.elements;
    const entered = [...this.#inputs].filter(([, {value}]) => value !== "").map(([name, {value}]) => [name, value]);
    return {name: strategy.value, symbols: symbols.value.split(/[\s,]+/).filter(Boolean), parameters: Object.fromEntries(entered)};
  }

  async #start() {
    const {name, symbols, parameters} = this.#chosen();
    const {start, end, risk} = this.#form.elements;
    const period = {...(start.value && {start: start.value}), ...(end.value && {end: end.value})};
    const body = {strategy: name, symbols, parameters, ...period, risk: risk.value};
    const job = await this.#do("POST", "/backtests", body);
    if (job) this.#say(`The backtest of ${name} is queued.`);
    await this.#read();
  }

  async #cancel() {
    const running = this.#watched[0];
    if (!running) return;
    const job = await this.#do("POST", `/jobs/${running.id}/cancel`);
    if (job) this.#say("Asked for the cancel of the backtest.");
  }

  async #assign() {
    if (![...this.#form.elements].every((field) => field.type === "date" || field.reportValidity())) return;
    const [{id, strategy: before}, strategy] = [this.#account, this.#chosen()];
    const text = [
      `${strategy.name} then decides for the account, also while nobody looks, on ${strategy.symbols.join(", ")}, with ${pairs(strategy.parameters)}.`,
      "Its orders pass the same checks as yours. While trading is stopped, all that open are refused.",
      before && `It takes the place of ${before.name}, whose positions and orders stay.`,
    ].filter(Boolean);
    if (!(await ask({title: `Assign ${strategy.name} to ${id}?`, text, yes: "Assign the strategy"}))) return;
    await this.#change(id, {strategy}, `${strategy.name} is assigned to ${id}.`);
  }

  async #takeAway() {
    const {id, strategy: {name}} = this.#account;
    const text = "It decides nothing from then on. Its positions and orders stay: close or cancel them, if they are not to.";
    if (!(await ask({title: `Take ${name} away from ${id}?`, text, yes: "Take the strategy away", no: "Keep it"}))) return;
    await this.#change(id, {strategy: null}, `${name} was taken away from ${id}.`);
  }

  async #change(id, body, said) {
    const account = await this.#do("PATCH", `/accounts/${encodeURIComponent(id)}`, body);
    if (!account) return;
    this.#say(said);
    if (this.#account?.id === id) this.account(account, true);
  }

  #do(method, path, body) {
    return this.once(() => this.api.send(method, path, {body}));
  }

  async #read() {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    let wait = WATCH_MS;
    try {
      const {backtests} = (await this.api.get("/backtests", {limit: MOST_ROWS})).data;
      if (turn !== this.#turn) return;
      this.#show(backtests);
      settled(TOPIC);
    } catch (error) {
      if (turn !== this.#turn) return;
      complain(TOPIC, error, {isRead: false});
      if (error.isFinal) return;
      wait = AGAIN_MS;
    }
    if (this.#watched.length || wait === AGAIN_MS) this.#timer = setTimeout(() => this.#read(), wait);
  }

  #show(backtests) {
    this.table.show(backtests);
    for (const {id} of this.#watched) {
      const row = backtests.find((each) => each.id === id);
      if (row && isEnded(row)) this.#say(`The backtest of ${row.strategy} has ended: ${row.state}. `, el("a", {href: pageOf(row)}, "Open its page"));
    }
    // The oldest first: it runs, and the others wait.
    this.#watched = backtests.filter((each) => !isEnded(each)).reverse();
    byId("backtest-cancel").hidden = !this.#watched.length;
  }

  #say(...contents) {
    byId("strategy-notice").replaceChildren(...contents);
  }
}

function columns() {
  const column = (head, text) => ({head, text});
  const figure = (head, text) => ({head, text: ({figures}) => (figures ? text(figures) : "–"), figure: true});
  return [
    column("strategy", ({strategy}) => strategy), column("state", ({state, progress_pct: done}) => (state === "running" ? `running, ${done} %` : state)),
    figure("return", ({return_pct: part}) => percentGain(part)), figure("drawdown", ({max_dd: down}) => percent(down)),
    figure("trades", ({trades}) => number(trades)), {...column("symbols", ({symbols}) => shortened(symbols)), wide: true},
    {...column("period", ({start, end}) => `${day(start)} – ${day(end)}`), wide: true},
    {...column(() => `started (${zoneName()})`, ({created_at: at}) => shortTime(at)), wide: true},
    {head: "page", make: (row) => el("a", {href: pageOf(row()), "aria-label": `Open the backtest of ${namedTime(row().created_at)}`}, "Open")},
  ];
}

// Amounts are texts with `format: decimal` in the schema; a parameter may be null if it has no default.
function inputOf(name, schema) {
  const {type, format, minimum: min, maximum: max} = schema.anyOf?.find((each) => each.type !== "null") ?? schema;
  const isNumber = type === "integer" || format === "decimal";
  const kind = isNumber ? {type: "number", step: type === "integer" ? 1 : "any", min, max} : {spellcheck: "false", maxlength: 32};
  return el("input", {id: `parameter-${name}`, value: schema.default, required: schema.default !== null, ...kind});
}

const pairs = (parameters) => Object.entries(parameters).map(([name, value]) => `${words(name)} ${value}`).join(", ") || "the usual parameters";

function assignedWords({id, strategy}) {
  if (!strategy) return `No strategy decides for ${id}.`;
  const {name, symbols, parameters, assigned_at: since, failure} = strategy;
  if (failure) return `${name} failed and decides no more for ${id}: ${failure}.`;
  return `${name} decides for ${id} since ${namedTime(since)}, on ${symbols.join(", ")}, with ${pairs(parameters)}.`;
}
