// Alerts of this login, and its webhooks: what was sent to each, a test, and a call that is sent again.

import {byId, duration, el, number} from "./dom.js";
import {LiveTable} from "./live_table.js";
import {complain, say, settled} from "./messages.js";
import {asNumberField, numberIn, price} from "./prices.js";
import {oneAtATime} from "./refusals.js";
import {whileOpen} from "./tabs.js";
import {words} from "./trading_words.js";
import {namedTime, shortTime, zoneName} from "./zone.js";

const [MOST_ROWS, MOST_LETTERS] = [20, 16];
const [PENDING_MS, IDLE_MS] = [1500, 5000];
const UNANSWERED = "No answer came. The list tells whether it was done.";

export class AlertsPanel {
  #choice = byId("webhook-choice");
  #form = byId("alert-form");

  constructor(api) {
    this.api = api;
    this.once = {alerts: oneAtATime("alerts-refusal", UNANSWERED), webhooks: oneAtATime("webhooks-refusal", UNANSWERED)};
    this.alerts = new LiveTable(byId("alerts"), "Newest alerts", this.#alertColumns(), {key: ({id, state}) => id + state, empty: "No alert was set yet."});
    this.deliveries = new LiveTable(byId("deliveries"), "Newest deliveries", this.#deliveryColumns(), {key: ({id}) => id, empty: "Nothing was sent yet."});
    asNumberField(this.#form.elements.price);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#set();
    });
    byId("webhook-test").addEventListener("click", () => this.#change("POST", `${this.#path}/test`));
    byId("webhook-resume").addEventListener("click", () => this.#change("PATCH", this.#path, {state: "active"}));
    this.#choice.addEventListener("change", () => this.#read());
    whileOpen("alerts", () => this.#read());
  }

  /** The symbol of the chart. */
  symbol(symbol) {
    byId("alert-symbol").textContent = symbol;
  }

  async #set() {
    const {direction, price: level} = this.#form.elements;
    const body = {symbol: byId("alert-symbol").textContent, kind: "level", direction: direction.value, price: numberIn(level.value)};
    if (await this.#change("POST", "/alerts", body)) level.value = "";
  }

  #alertColumns() {
    return [
      {head: "symbol", text: ({symbol}) => symbol}, {head: "fires", text: alertWords}, {head: "state", text: firedWords},
      {head: "", make: (row) => this.#alertButtons(row())},
    ];
  }

  #alertButtons(alert) {
    const [name, path] = [`${alert.symbol} ${alertWords(alert)}`, `/alerts/${alert.id}`];
    return el("div", {class: "buttons"},
      alert.state === "fired" ? this.#button("Arm again", name, () => this.#change("POST", `${path}/rearm`)) : null,
      this.#button("Delete", name, () => this.#change("DELETE", path)));
  }

  get #path() {
    return `/webhooks/${this.#choice.value}`;
  }

  #deliveryColumns() {
    return [
      {head: () => `created (${zoneName()})`, text: ({created_at: at}) => shortTime(at)}, {head: "event", text: ({type}) => type}, {head: "state", text: deliveryWords},
      {head: "of", text: ({subject}) => (subject.length > MOST_LETTERS ? `${subject.slice(0, MOST_LETTERS - 1)}…` : subject), wide: true},
      {head: "", make: (row) => this.#button("Replay", `${row().type}, ${namedTime(row().created_at)}`, () => this.#change("POST", `${this.#path}/deliveries/${row().id}/replay`))},
    ];
  }

  #button(text, of, act) {
    return el("button", {type: "button", "aria-label": `${text}: ${of}`, onclick: act}, text);
  }

  async #change(method, path, body) {
    const answer = await this.once[path.split("/")[1]](() => this.api.send(method, path, {body}));
    await this.#read();
    return answer;
  }

  async #read() {
    const waits = await Promise.all([this.#told("Alerts", () => this.#readAlerts()), this.#told("Webhooks", () => this.#readWebhooks())]);
    return waits.some(Boolean) ? PENDING_MS : IDLE_MS;
  }

  async #told(topic, read) {
    try {
      const waits = await read();
      settled(topic);
      return waits;
    } catch (error) {
      complain(topic, error, {isRead: false});
      return false;
    }
  }

  async #readAlerts() {
    this.alerts.show((await this.api.get("/alerts", {limit: MOST_ROWS})).data.alerts);
  }

  // Returns whether something is to be sent.
  async #readWebhooks() {
    const {webhooks} = (await this.api.get("/webhooks")).data;
    this.#offer(webhooks);
    const chosen = webhooks.find(({id}) => id === this.#choice.value);
    if (!chosen) return false;
    const {deliveries} = (await this.api.get(`${this.#path}/deliveries`, {limit: MOST_ROWS})).data;
    if (chosen.id !== this.#choice.value) return true;
    say("webhook-state", [webhookWords(chosen)]);
    byId("webhook-resume").hidden = chosen.state !== "paused";
    this.deliveries.show(deliveries);
    return deliveries.some(({state}) => state === "pending");
  }

  // The choice is made anew only if there are others, so that it stays open under a finger.
  #offer(webhooks) {
    byId("webhooks-none").hidden = webhooks.length > 0;
    byId("webhook-chosen").hidden = !webhooks.length;
    const {value} = this.#choice;
    if ([...this.#choice.options].map((option) => option.value).join() === webhooks.map(({id}) => id).join()) return;
    this.#choice.replaceChildren(...webhooks.map(({id, url}) => el("option", {value: id, selected: id === value}, url)));
  }
}

function alertWords({symbol, kind, direction, price: level, percent, seconds}) {
  if (kind === "silence") return `after ${duration(seconds)} without a trade`;
  if (kind === "level") return `at ${price(level, symbol)} or ${direction}`;
  return `at a move of ${number(percent)} % ${{above: "up", below: "down"}[direction] ?? "up or down"} within ${duration(seconds)}`;
}

function firedWords({symbol, state, fired_at: at, fired}) {
  if (state !== "fired") return state;
  return [`fired ${shortTime(at)}${fired?.price ? ` at ${price(fired.price, symbol)}` : ""}`, "old"];
}

function deliveryWords({state, status, error, attempts, next_at: next}) {
  const why = error ?? (status ? `answered ${status}` : "");
  if (state === "delivered") return [`delivered, ${status}`, "gain"];
  if (state === "failed") return [`failed: ${why}`, "loss"];
  return [attempts ? `pending: ${why}; again at ${shortTime(next)}` : "pending", attempts ? "loss" : ""];
}

function webhookWords({state, paused_because: why, failing_since: since, retry_at: retry}) {
  if (state === "paused") return `Paused: ${words(why)}.`;
  return since ? `The receiver fails since ${namedTime(since)}; it is called again at ${shortTime(retry)}.` : "Active.";
}
