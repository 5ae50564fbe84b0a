// Fetch a market from an exchange or a vendor: choose it, see the cost, confirm it, and watch it arrive.

import {byId, debounced, duration, el, number, size} from "./dom.js";
import {pause, stoppedJob} from "./jobs.js";
import {oneAtATime, refuse} from "./refusals.js";

const UNANSWERED = "No answer came. The jobs in the tab System tell whether it was done.";
const [USUAL_DAYS, DAY_MS] = [30, 86_400_000];
const READING_MS = 1000;

export class FetchPanel {
  #form = byId("fetch-form");
  #hasSources = false;
  // The sources that have a feed.
  #fed = new Set();
  // The newest search, and the markets that it found.
  #turn = 0;
  #markets = [];
  // The job whose preview waits for a confirmation, or which runs.
  #job = null;

  /** onFetched: gets the result of a fetch that stored rows, with its `resolution`, and what to say of it. onKeep: lets a feed keep a symbol current. */
  constructor(api, {onFetched, onKeep}) {
    Object.assign(this, {api, onFetched, onKeep});
    this.once = oneAtATime("fetch-refusal", UNANSWERED);
    const cancelled = oneAtATime("fetch-refusal", UNANSWERED);
    const {source, name, start, keep} = this.#form.elements;
    start.value = new Date(Date.now() - USUAL_DAYS * DAY_MS).toISOString().slice(0, 10);
    const search = debounced(250, () => this.#search());
    // The source is asked for its markets only when a person looks for one.
    for (const event of ["focus", "input"]) name.addEventListener(event, search);
    source.addEventListener("change", () => {
      this.#showKeep();
      if (name.value) search();
    });
    keep.addEventListener("change", () => this.#showKeep());
    byId("fetch-open").addEventListener("click", () => {
      this.offer(byId("search").value.trim());
      byId("fetch-title").focus();
    });
    this.#form.addEventListener("input", () => this.#giveUp());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#plan();
    });
    byId("fetch-close").addEventListener("click", () => {
      this.hide();
      byId("fetch-open").focus();
    });
    byId("fetch-cancel").addEventListener("click", () => cancelled(() => this.api.send("POST", `/jobs/${this.#job.id}/cancel`)));
    window.addEventListener("pagehide", () => this.#giveUp());
  }

  /** Somebody has logged in. Who may not fetch is not offered it. */
  start(mayFetch) {
    byId("fetch-open").hidden = !mayFetch;
  }

  /** Show the form in the chart's place. text: what somebody looked for. */
  async offer(text = "") {
    if (byId("fetch-open").hidden) return;
    const {source, name} = this.#form.elements;
    byId("fetch").hidden = false;
    if (text && !this.#job) name.value = text;
    if (this.#hasSources) return;
    const answer = await this.once(() => this.api.get("/sources"));
    if (!answer) return;
    this.#hasSources = true;
    this.#fed = new Set(answer.data.sources.filter((each) => each.can_feed).map((each) => each.name));
    const sources = answer.data.sources.sort((one, other) => rankOf(one) - rankOf(other));
    const groups = Map.groupBy(sources, ({tested}) => tested);
    source.replaceChildren(...[...groups].map(([label, each]) => el("optgroup", {label}, ...each.map(optionOf))));
    source.value = (sources.find((each) => !lacksKey(each)) ?? sources[0]).name;
    this.#showKeep();
  }

  // Offer to keep the market current, if the source has a feed.
  #showKeep() {
    const {source, keep} = this.#form.elements;
    const canFeed = this.#fed.has(source.value);
    byId("fetch-keep").hidden = !canFeed;
    byId("fetch-keep-rows").hidden = !canFeed || !keep.checked;
  }

  // Let a feed keep the market current, if that is wanted. A refusal does not end the fetch.
  async #keep({source, name}) {
    const {keep, rows, timeframe} = this.#form.elements;
    if (!keep.checked || byId("fetch-keep").hidden) return "";
    try {
      await this.onKeep({source, name, ...(rows.value === "bars" && {timeframe: timeframe.value})});
      return "It is kept current.";
    } catch (error) {
      return `It is not kept current: ${error.message}`;
    }
  }

  /** Show the chart again. A fetch that runs goes on. */
  hide() {
    byId("fetch").hidden = true;
    this.#giveUp();
  }

  // Find markets by a part of their names.
  async #search() {
    if (!this.#hasSources) return;
    const turn = ++this.#turn;
    byId("fetch-refusal").replaceChildren();
    try {
      await this.#read(() => turn === this.#turn);
    } catch (error) {
      if (turn === this.#turn) refuse("fetch-refusal", error);
    }
  }

  // Read the markets that have what is typed in their names. The first time of a day the server asks the source for them.
  async #read(isWanted = () => true) {
    const {source: {value: source}, name} = this.#form.elements;
    const search = name.value.trim();
    for (;;) {
      const {data} = await this.api.get(`/sources/${encodeURIComponent(source)}/markets`, {search});
      if (!isWanted()) return;
      hint(data.state === "reading" ? `Reading the markets of ${source} …` : "");
      if (data.state === "failed") throw new Error(data.message);
      if (data.state === "ready") return this.#found(data, source, search);
      await pause(READING_MS);
      if (!isWanted()) return;
    }
  }

  #found({markets, more}, source, search) {
    this.#markets = markets;
    const label = ({symbol, long_name: long}) => [long, `symbol ${symbol}`].filter(Boolean).join(" · ");
    byId("fetch-markets").replaceChildren(...markets.map((market) => el("option", {value: market.name}, label(market))));
    if (this.#chosen) hint(label(this.#chosen));
    else if (markets.length) hint(`${number(markets.length + more)} markets of ${source}${search && ` have “${search}” in their names`}.`);
    else hint(search ? `${source} lists no market with “${search}” in its name.` : `${source} does not list its markets.`);
  }

  // The market that is typed, by its name at the source or by ours.
  get #chosen() {
    const typed = this.#form.elements.name.value.trim().toUpperCase();
    const is = (key) => this.#markets.find((market) => market[key].toUpperCase() === typed);
    return is("name") ?? is("symbol");
  }

  // Ask what the fetch would take.
  async #plan() {
    await this.#giveUp();
    const job = await this.once(async () => {
      await this.#read();
      const {source, name, timeframe, start, end} = this.#form.elements;
      const market = this.#chosen?.name ?? name.value.trim();
      const body = {source: source.value, name: market, timeframe: timeframe.value, start: start.value, end: end.value || undefined, preview: true};
      return this.#stopped(await this.api.send("POST", "/fetches", {body}), "Asking for the cost …");
    });
    if (job?.state === "needs_confirmation") this.#showPlan(job);
    else if (job) this.#end(job);
  }

  #showPlan(job) {
    this.#job = job;
    const {preview: plan} = job;
    const fetched = el("button", {type: "button", class: "primary", onclick: () => this.#confirm(job)}, plan.price ? `Fetch for ${plan.price}` : "Fetch");
    const facts = factsOf(plan, this.#form.elements.timeframe.value).map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)));
    const title = el("h3", {tabindex: "-1"}, `${plan.symbol} from ${plan.source}`);
    byId("fetch-plan").replaceChildren(...[
      title,
      el("dl", {class: "figures"}, ...facts),
      plan.tested !== "tested" ? el("p", {class: "warning"}, `This source is ${plan.tested}.`) : null,
      plan.terms ? el("p", {class: "warning"}, plan.terms) : null,
      plan.unknown.length ? null : el("p", {}, "All of it was fetched before."),
      el("p", {class: "buttons"}, fetched),
    ].filter(Boolean));
    title.focus();
  }

  async #confirm({id, preview}) {
    byId("fetch-plan").replaceChildren();
    byId("fetch-title").focus();
    let kept = "";
    const job = await this.once(async () => {
      const confirmed = await this.api.send("POST", `/jobs/${id}/confirm`);
      kept = await this.#keep(preview);
      return this.#stopped(confirmed, "Fetching …");
    });
    if (job?.state === "succeeded") this.#fetched(job.result, preview, kept);
    else if (job) this.#end(job);
  }

  #end({state, error}) {
    if (state === "failed") refuse("fetch-refusal", error);
    else say("The fetch was cancelled. What it has stored stays.");
  }

  #fetched(result, plan, kept) {
    const {source, name, unanswered_count: unanswered, left_out: leftOut, wrong} = result;
    // Nothing of the range was known before, and nothing came.
    const isEmpty = !result.new && !result.known && plan.unknown[0]?.start === plan.start;
    if (isEmpty) return say(`${source} gave no bars of ${name} in this range. ${kept}`);
    const texts = [
      `${number(result.new)} new rows from ${source}.`,
      leftOut && `Rows left out: ${number(leftOut)} (${wrong}).`,
      unanswered && `Stretches without an answer: ${number(unanswered)}. Fetch them again later.`,
      kept,
    ].filter(Boolean);
    return this.onFetched({...result, resolution: this.#form.elements.timeframe.value}, texts.join(" "));
  }

  // The job when it has ended or asks for a confirmation. Its progress is shown.
  async #stopped(job, title) {
    const fields = this.#form.querySelector("fieldset");
    fields.disabled = true;
    this.#job = job;
    try {
      return await stoppedJob(job, async () => (await this.api.get(`/jobs/${job.id}`)).data, (now) => this.#progress(now, title));
    } finally {
      this.#job = null;
      fields.disabled = false;
      byId("fetch-progress").hidden = true;
      say("");
    }
  }

  #progress({state, attempts, progress: {done, total}}, title) {
    byId("fetch-progress").hidden = false;
    const bar = byId("fetch-progress").firstElementChild;
    if (total) Object.assign(bar, {max: total, value: done});
    else bar.removeAttribute("value");
    if (state === "queued") say(attempts ? "The source failed. The worker asks it again soon." : "Waiting for the worker …");
    else say(total ? `${title} ${Math.floor((100 * done) / total)} %` : title);
  }

  // Take the preview away, and end its job: another one takes its place, or the form is left.
  async #giveUp() {
    const waits = this.#job?.state === "needs_confirmation" && `/jobs/${this.#job.id}/cancel`;
    if (!waits) return;
    this.#job = null;
    byId("fetch-plan").replaceChildren();
    // If it fails, the job ends by itself after a day.
    await this.api.response(waits, {}, {method: "POST", keepalive: true}).catch(() => {});
  }
}

const rankOf = ({tested}) => ({tested: 0, untested: 2})[tested] ?? 1;
const lacksKey = ({needs_key: needs, has_key: has}) => needs && !has;

function optionOf(source) {
  const isLacking = lacksKey(source);
  return el("option", {value: source.name, disabled: isLacking}, isLacking ? `${source.name} (needs SOURCE_KEY_${source.name.toUpperCase()})` : source.name);
}

function factsOf({name, start, end, requests, rows, seconds, bytes, price, class: kind}, timeframe) {
  const about = (value, text) => (value === null ? "unknown" : text(value));
  return [
    ["market", `${name}, ${kind}`], ["bars", `of ${timeframe}`], ["from", dayOf(start)], ["to", dayOf(end)],
    ["requests", about(requests, number)], ["time", about(seconds, (value) => `about ${duration(value)}`)],
    ["rows", about(rows, (value) => `about ${number(value)}`)], ["on disk", about(bytes, (value) => `about ${size(value)}`)],
    ...(price ? [["price", price]] : []),
  ];
}

const dayOf = (text) => text.replace("T", " ").replace(/(?: 00:00:00|:\d\d(?:\.\d+)?)Z$/, "");

function hint(text) {
  byId("fetch-hint").textContent = text;
}

function say(text) {
  byId("fetch-state").textContent = text;
}
