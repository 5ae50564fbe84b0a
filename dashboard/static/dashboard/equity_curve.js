// The curve of an account's equity, with its high-water mark and the places where drawdown zones begin.

import {curveChart, evenSteps, pageColours, pointsOf, seconds} from "./curve_chart.js";
import {byId} from "./dom.js";
import {money, percent} from "./trading_words.js";
import {namedTime} from "./zone.js";

const ZONES = ["caution", "danger", "halt"];

export class EquityCurve {
  #chart = null;
  #points = [];
  #zones = [];
  #config = null;
  #currency = "";
  #days = 0;
  #deepest = 0;
  #marked = null;

  /** Show the points of `GET /performance`, oldest first. */
  show({drawdown_curve: curve, currency, max_dd: deepest, period_days: days}) {
    if (!this.#chart) this.#build();
    this.#currency = currency;
    this.#days = days;
    this.#deepest = deepest;
    // Before the first deposit there is nothing to be seen.
    const begun = Math.max(0, curve.findIndex(({equity}) => equity !== 0));
    this.#points = pointsOf(curve.slice(begun), ({at, equity, high_water: high}) => ({at, equity, high}));
    this.#draw();
  }

  /** The equity of now. The newest mark's time is the engine's, whose clock need not be this one. */
  move({equity, high_water: high, drawdown_pct: down, positions}) {
    if (!this.#chart || equity === null) return;
    const last = this.#points.at(-1);
    const at = positions.map(({marked_at: marked}) => marked).filter(Boolean).sort().at(-1) ?? last?.at;
    if (!at) return;
    const time = Math.max(seconds(at), last?.time ?? 0);
    if (last?.time === time) this.#points.pop();
    this.#points.push({time, at, equity, high});
    this.#deepest = Math.max(this.#deepest, down);
    this.#draw();
  }

  /** The limits, which say where zones begin. */
  zones(config) {
    this.#config = config;
    this.#mark();
  }

  clear() {
    this.#points = [];
    if (this.#chart) this.#draw();
  }

  #build() {
    document.addEventListener("zone", () => this.#summarise());
    this.#chart = curveChart(byId("equity"), (chart) => {
      this.high = chart.addLineSeries({lineWidth: 1, lineType: 1, priceLineVisible: false, lastValueVisible: false});
      this.equity = chart.addLineSeries({lineWidth: 2, lineType: 1, priceLineVisible: false});
      return ({accent, muted}) => {
        this.equity.applyOptions({color: accent});
        this.high.applyOptions({color: muted});
        this.#mark();
      };
    });
  }

  #draw() {
    const points = evenSteps(this.#points);
    const values = points.map(({equity}) => equity);
    const range = Math.max(...values) - Math.min(...values);
    const precision = Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(range || 1))));
    this.equity.applyOptions({priceFormat: {type: "price", precision, minMove: 10 ** -precision}});
    this.equity.setData(points.map(({time, equity}) => ({time, value: equity})));
    this.high.setData(points.map(({time, high}) => ({time, value: high})));
    this.#chart.timeScale().fitContent();
    this.#summarise();
  }

  // The lines do not widen the scale: one is seen when the equity comes near it.
  #mark() {
    if (!this.#chart || !this.#config) return;
    const high = this.#points.at(-1)?.high;
    for (const line of this.#zones) this.equity.removePriceLine(line);
    const {down, muted} = pageColours();
    const dashed = {lineWidth: 1, lineStyle: 2, axisLabelVisible: false};
    this.#zones = (high ? ZONES : []).map((zone) => this.equity.createPriceLine({
      ...dashed, price: high * (1 - this.#config[zone] / 100), color: zone === "halt" ? down : muted, title: zone.toUpperCase(),
    }));
    this.#marked = high;
  }

  #summarise() {
    const last = this.#points.at(-1);
    if (last?.high !== this.#marked) this.#mark();
    const days = `${this.#days} ${this.#days === 1 ? "day" : "days"}`;
    byId("equity-text").textContent = last
      ? `Equity ${money(last.equity, this.#currency)} (${namedTime(last.at)}), high-water mark ${money(last.high, this.#currency)}. `
        + `In ${days} it was at most ${percent(this.#deepest)} below it.`
      : "No equity was recorded yet.";
  }
}
