// The account's model: its target weights, and a rebalance to them: previewed, executed, watched.

import {ask} from "./ask.js";
import {byId, el, number, table} from "./dom.js";
import {complain, say, settled} from "./messages.js";
import {oneAtATime} from "./refusals.js";
import {money, percent} from "./trading_words.js";

const TOPIC = "Model";
const WATCHED = "Rebalance";
const WATCH_MS = 1000;
// What could not be read is read again so often.
const AGAIN_MS = 10_000;
const MOST_MODELS = 100;
const UNANSWERED = "No answer came, so it is not known whether it was done. The list of jobs, and the working orders, will tell.";
const amount = {type: "number", step: "any", min: 0, value: 0, required: true};
const OPTIONS = [
  {...amount, name: "minimum_trade", label: "Smallest trade, in money"},
  {...amount, name: "cash_buffer", label: "Cash that purchases leave, per cent", max: 100},
];
const share = (weight) => (weight === null ? "not known" : percent(weight * 100));

export class ModelPanel {
  #account = null;
  #may = false;
  // Answers of earlier turns are not shown: of the models and their weights, and of the rebalance that is watched.
  #turn = 0;
  #timer = null;
  #watchTurn = 0;
  #watchTimer = null;

  constructor(api) {
    this.api = api;
    this.once = oneAtATime("model-refusal", UNANSWERED);
    byId("model-choice").addEventListener("change", ({target}) => this.#assign(target.value || null));
    byId("rebalance-preview").addEventListener("click", () => this.#preview());
  }

  /** The document of the account that is shown, or null. may: whether the login may change it. */
  async account(account, may = false) {
    if (account?.id !== this.#account?.id) this.#leave();
    const isOther = !this.#account || account?.model !== this.#account.model;
    this.#account = account;
    this.#may = may;
    if (account && isOther) await this.#show();
  }

  #leave() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchTimer);
    this.#turn++;
    this.#watchTurn++;
    for (const id of ["model-weights", "rebalance", "model-refusal", "rebalance-said"]) byId(id).replaceChildren();
    for (const id of ["model-none", "model-chosen"]) byId(id).hidden = true;
    for (const topic of [TOPIC, WATCHED]) settled(topic);
  }

  // The account's models, and the weights of the one that it follows.
  async #show() {
    clearTimeout(this.#timer);
    const [turn, {id, model}] = [++this.#turn, this.#account];
    try {
      const {models} = (await this.api.get("/models", {account: id, limit: MOST_MODELS})).data;
      if (turn !== this.#turn) return;
      const names = new Set([...models.map(({name}) => name), ...(model ? [model] : [])]);
      byId("model-choice").replaceChildren(el("option", {value: ""}, "none"), ...[...names].map((name) => el("option", {value: name}, name)));
      byId("model-choice").value = model ?? "";
      byId("model-choice").disabled = !this.#may;
      byId("model-none").hidden = names.size > 0;
      byId("model-chosen").hidden = names.size === 0;
      byId("rebalance-preview").hidden = !model || !this.#may;
      const followed = models.find(({name}) => name === model);
      byId("model-weights").replaceChildren(...(followed ? [weightsTable(followed)] : []));
      settled(TOPIC);
    } catch (error) {
      if (turn !== this.#turn) return;
      complain(TOPIC, error, {isRead: false});
      if (!error.isFinal) this.#timer = setTimeout(() => this.#show(), AGAIN_MS);
    }
  }

  async #assign(model) {
    const {id} = this.#account;
    const account = await this.#do("PATCH", `/accounts/${encodeURIComponent(id)}`, {model});
    if (this.#account?.id !== id) return;
    byId("rebalance").replaceChildren();
    if (account) this.#account = account;
    await this.#show();
  }

  async #preview() {
    const {id, model} = this.#account;
    const text = "Sales come first, then purchases. The plan is shown first: nothing is placed before you execute it.";
    const asked = await ask({title: `Rebalance ${id} to ${model}`, text, fields: OPTIONS, yes: "Preview the rebalance"});
    if (!asked) return;
    const options = Object.fromEntries(Object.entries(asked).map(([name, value]) => [name, Number(value)]));
    const job = await this.#do("POST", `/accounts/${encodeURIComponent(id)}/rebalance`, {...options, preview: true});
    if (!job) return;
    byId("rebalance").replaceChildren();
    await this.#watch(job.id);
  }

  #showPlan(job, plan) {
    const trades = plan.symbols.filter(({side}) => side).length;
    const title = el("h4", {id: "rebalance-title", tabindex: "-1"}, `Preview: ${trades} ${trades === 1 ? "order" : "orders"}`);
    const execute = el("button", {type: "button", class: "primary", onclick: () => this.#answer(job, "confirm")}, "Execute the rebalance");
    execute.disabled = !trades;
    const discard = el("button", {type: "button", onclick: () => this.#answer(job, "cancel")}, "Discard the preview");
    byId("rebalance").replaceChildren(title, planTable("Planned trades", plan), el("p", {class: "buttons"}, execute, discard));
    title.focus();
  }

  async #answer(job, verb) {
    if (!(await this.#do("POST", `/jobs/${job}/${verb}`))) return;
    byId("rebalance").replaceChildren();
    await this.#watch(job);
  }

  // Of several rebalances the newest is watched: they run one after another.
  async #watch(job) {
    clearTimeout(this.#watchTimer);
    const turn = ++this.#watchTurn;
    try {
      const {state, progress: {done, total}, preview, result, error} = (await this.api.get(`/jobs/${job}`)).data;
      if (turn !== this.#watchTurn) return;
      settled(WATCHED);
      if (state === "needs_confirmation") {
        this.#say("");
        return this.#showPlan(job, preview);
      }
      if (["queued", "running"].includes(state)) {
        this.#say(`The rebalance is ${state}${total === null ? "" : `: ${done} of ${total} orders are done`}.`);
      } else {
        this.#say(result ? `The rebalance has ended: ${result.ended}.` : `The rebalance was ${state}${error ? `: ${error.message}` : ""}.`);
        if (result) byId("rebalance").replaceChildren(planTable("What was traded", result));
        return;
      }
    } catch (error) {
      if (turn !== this.#watchTurn) return;
      complain(WATCHED, error, {isRead: false});
      if (error.isFinal) return this.#say("The rebalance can no longer be watched here. It goes on: the list of jobs, and the working orders, tell.");
    }
    this.#watchTimer = setTimeout(() => this.#watch(job), WATCH_MS);
  }

  // What comes of it is not shown for another account.
  #do(method, path, body) {
    const {id} = this.#account;
    return this.once(() => this.api.send(method, path, {body}), () => this.#account?.id === id);
  }

  #say(text) {
    say("rebalance-said", [text]);
  }
}

function weightsTable({name, weights, cash}) {
  return table(`Weights of ${name}`, ["symbol", ["weight"]], [...weights.map(({symbol, weight}) => [symbol, share(weight)]), ["cash", share(cash)]]);
}

// A plan, or what came of it: then with what was filled.
function planTable(name, {symbols, currency, ended}) {
  const done = (cell) => (ended ? [cell] : []);
  const why = (cell) => (symbols.some(({message}) => message) ? [cell] : []);
  const heads = ["symbol", "order", ...done(["filled"]), ["before"], ["target"], ["after"], ["cash"], ...why("why not more")];
  return table(name, heads, symbols.map(({symbol, weight, before, after, side, quantity, filled, cost, message}) => [
    symbol, side ? `${side} ${number(quantity)}` : "none", ...done(number(filled)), share(before), share(weight), share(after),
    money(cost, currency), ...why(message ?? ""),
  ]));
}
