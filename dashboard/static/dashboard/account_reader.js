// What is asked for of one account, and when: answers of the API, at once or soon, and channels of the live feed.

import {complain, settled} from "./messages.js";

export const TOPIC = "Trading";
export const ALL = ["status", "risk", "account", "config", "portfolio", "performance", "orders", "executions", "trades", "signals"];
export const BY_EVENTS = ["status", "risk", "account"];
export const BY_FILLS = ["executions", "trades"];
// What events have changed is read at once, and then at most so often.
const PAUSE_MS = 1000;
const MOST_ROWS = 20;
const MOST_ORDERS = 200;

export class AccountReader {
  #account = null;
  #aborter = new AbortController();
  #channels = [];
  #asked = {};
  // The names whose newest answer is a refusal.
  #failed = new Set();
  #wanted = new Set();
  #soonTimer = null;
  #soonAt = 0;

  /** days: returns those of the performance. onAnswer: takes a name of ALL, and its `{data, headers}`. onRestored: event numbers began again. */
  constructor(api, feed, hooks) {
    Object.assign(this, {api, feed, ...hooks});
  }

  /** Of what is asked for now; given up with the account. */
  get signal() {
    return this.#aborter.signal;
  }

  /** Whether something could not be read. */
  get isBehind() {
    return this.#failed.size > 0;
  }

  follow(account) {
    this.#account = account;
  }

  /** Nothing is asked for the account any longer. */
  leave() {
    this.#account = null;
    this.#aborter.abort();
    this.#aborter = new AbortController();
    clearTimeout(this.#soonTimer);
    this.#soonTimer = null;
    this.#wanted.clear();
    this.#failed.clear();
    for (const channel of this.#channels.splice(0)) this.feed.unsubscribe(channel);
  }

  /** Follow a channel of the account, once. */
  subscribe(kind, subscription) {
    const channel = `${kind}:${this.#account}`;
    if (this.#channels.includes(channel)) return;
    this.#channels.push(channel);
    const topic = `${TOPIC}, live ${kind}`;
    const said = {onBegun: () => settled(topic), onError: (error) => complain(topic, error)};
    this.feed.subscribe(channel, {...said, onResync: () => this.onRestored(), ...subscription});
  }

  async read(...names) {
    const {signal} = this;
    const faults = await Promise.all(names.map((name) => this.#one(name, signal)));
    if (signal.aborted) return;
    const fault = faults.find(Boolean);
    if (fault) complain(TOPIC, fault, {isRead: false});
    else if (!this.isBehind) settled(TOPIC);
  }

  /** Read these at once, or with others at the end of the pause. */
  soon(...names) {
    for (const name of names) this.#wanted.add(name);
    this.#soonTimer ??= setTimeout(() => {
      this.#soonTimer = null;
      this.#soonAt = Date.now() + PAUSE_MS;
      const wanted = [...this.#wanted];
      this.#wanted.clear();
      this.read(...wanted);
    }, Math.max(0, this.#soonAt - Date.now()));
  }

  // Of several answers only that to the newest question is shown. Returns the error if that is a refusal.
  async #one(name, signal) {
    const turn = (this.#asked[name] = (this.#asked[name] ?? 0) + 1);
    const isNewest = () => !signal.aborted && turn === this.#asked[name];
    try {
      const answer = await this.api.get(...this.#question(name), {signal});
      if (!isNewest()) return null;
      this.#failed.delete(name);
      this.onAnswer(name, answer);
      return null;
    } catch (error) {
      if (!isNewest()) return null;
      this.#failed.add(name);
      return error;
    }
  }

  #question(name) {
    const account = this.#account;
    if (name === "account") return [`/accounts/${encodeURIComponent(account)}`, {}];
    const more = {performance: {days: this.days()}, orders: {status: "open", limit: MOST_ORDERS}};
    const rows = [...BY_FILLS, "signals"].includes(name) ? {limit: MOST_ROWS} : {};
    return [`/${name}`, {account, ...rows, ...more[name]}];
  }
}
