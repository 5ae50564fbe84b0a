// Candles with volume, drawn by lightweight-charts (a global script that the page loads before the modules).

import {averageOf, candleOf, instantOf, markText, placesOf, shownPlace, spoken, timeOf, volumeOf} from "./candle_series.js";
import {el, number} from "./dom.js";
import {averagePrice, changeWords, decimalsOf, price} from "./prices.js";
import {Shading} from "./shading.js";
import {shownTime, zoneName} from "./zone.js";

const LIGHT = {
  text: "#1c2530", background: "#ffffff", grid: "#e4e8ed", up: "#0b7a5f", down: "#c2352b", hollow: "#ffffff", line: "#55606e",
  upVolume: "#0b7a5f66", downVolume: "#c2352b66",
  gaps: {gap: "#c2352b2e", pending: "#b7791f2e", halted: "#6b46c12e", extended: "#55606e17"}, averages: ["#9a5b00", "#6b46c1"],
};
const DARK = {
  text: "#dbe3ec", background: "#1a2029", grid: "#2a3441", up: "#3ecf9f", down: "#ff7a70", hollow: "#1a2029", line: "#a3adba",
  upVolume: "#3ecf9f66", downVolume: "#ff7a7066",
  gaps: {gap: "#ff7a7040", pending: "#f0b4294d", halted: "#b794f44d", extended: "#a3adba1f"}, averages: ["#f0b429", "#b794f4"],
};
// With fewer bars than this before the visible ones the owner is asked for earlier ones.
const SOON = 30;
// At least this many places are in view, so that no candle is huge, and this many empty ones after the newest bar.
const FEWEST = 8;
const MARGIN = 3;

class Candles {
  constructor(element, {onClick = () => {}, onRange = () => {}} = {}) {
    this.element = element;
    this.onClick = onClick;
    this.onRange = onRange;
    this.bars = [];
    this.places = [];
    this.extended = [];
    this.symbol = "";
    this.counts = [];
    this.means = [];
    this.selected = -1;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.#build();
    this.#listen();
  }

  #build() {
    this.element.classList.add("candles");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-roledescription", "chart");
    if (!this.element.hasAttribute("aria-label")) this.element.setAttribute("aria-label", "Candles. Arrow keys walk the bars.");
    this.canvas = el("div", {class: "candles-canvas", "aria-hidden": "true"});
    this.legend = el("p", {class: "candles-legend", "aria-hidden": "true"});
    this.summary = el("p", {class: "candles-spoken"});
    this.voice = el("p", {class: "candles-spoken", "aria-live": "polite"});
    this.element.append(this.canvas, this.legend, this.summary, this.voice);
    this.chart = LightweightCharts.createChart(this.canvas, {
      autoSize: true, timeScale: {timeVisible: true, rightOffset: MARGIN},
      localization: {timeFormatter: (time) => shownPlace(time, this.bars)},
    });
    this.gaps = this.chart.addCustomSeries(new Shading(), {priceScaleId: "gaps", priceLineVisible: false, lastValueVisible: false});
    this.volumes = this.chart.addHistogramSeries({
      priceScaleId: "volume", priceFormat: {type: "volume"}, priceLineVisible: false, lastValueVisible: false,
    });
    const quiet = {priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false};
    this.averages = [0, 1].map(() => this.chart.addLineSeries({...quiet, lineWidth: 1}));
    this.candles = this.chart.addCandlestickSeries();
    this.chart.priceScale("gaps").applyOptions({visible: false});
    this.chart.priceScale("volume").applyOptions({scaleMargins: {top: 0.8, bottom: 0}, visible: false});
    this.chart.priceScale("right").applyOptions({scaleMargins: {top: 0.06, bottom: 0.24}});
    this.#colour();
  }

  #listen() {
    this.dark.addEventListener("change", () => {
      this.#colour();
      this.#draw();
    });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.chart.subscribeClick(({time}) => {
      const index = this.bars.findIndex((bar) => timeOf(bar) === time);
      if (index >= 0) this.#choose(index);
    });
    this.chart.subscribeCrosshairMove(({time}) => this.#tell(time === undefined ? -1 : this.bars.findIndex((bar) => timeOf(bar) === time)));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => this.#moved(range));
  }

  #colour() {
    this.colours = this.dark.matches ? DARK : LIGHT;
    const {text, background, grid, up, down, line} = this.colours;
    this.chart.applyOptions({
      layout: {textColor: text, background: {color: background}},
      grid: {vertLines: {color: grid}, horzLines: {color: grid}},
      timeScale: {borderColor: grid},
      rightPriceScale: {borderColor: grid},
    });
    this.colours.averages.forEach((color, index) => {
      this.averages[index].applyOptions({color});
      this.legend.style.setProperty(`--average-${index}`, color);
    });
    this.candles.applyOptions({
      upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down,
      // Without it the newest price has the colour of its candle, which is the background's if that is hollow.
      priceLineColor: line,
    });
  }

  #draw() {
    const decimals = Math.max(2, ...this.bars.slice(-50).map(({close}) => decimalsOf(close)));
    for (const series of [this.candles, ...this.averages]) series.applyOptions({priceFormat: {type: "price", precision: decimals, minMove: 10 ** -decimals}});
    this.candles.setData(this.bars.map((bar) => candleOf(bar, this.colours)));
    this.volumes.setData(this.bars.map((bar) => volumeOf(bar, this.colours)));
    this.#shade();
    this.#summarise();
  }

  #shade() {
    const extended = this.extended.map((time) => ({time, reason: "extended"}));
    const places = [...this.places, ...extended].sort((one, other) => one.time - other.time);
    this.gaps.setData(places.map(({time, reason}) => ({time, color: this.colours.gaps[reason]})));
  }

  // The values of a bar in the legend; of the newest one without a place.
  #tell(place) {
    const index = place < 0 ? this.bars.length - 1 : place;
    const bar = this.bars[index];
    if (!bar) return this.legend.replaceChildren();
    const {open, close, volume} = bar;
    const before = this.bars[index - 1]?.close ?? open;
    const [change, kind] = changeWords(close - before, before ? (close - before) / Math.abs(before) * 100 : null, this.symbol);
    const values = Object.entries({O: "open", H: "high", L: "low", C: "close"}).map(([name, part]) => `${name} ${price(bar[part], this.symbol)}`);
    const when = bar.date ?? `${shownTime(timeOf(bar))} ${zoneName(timeOf(bar))}`;
    const lines = this.counts.flatMap((count, line) => {
      const value = this.means[line][index - count + 1]?.value;
      return value === undefined ? [] : [el("span", {class: `average-${line}`}, `MA ${count} ${averagePrice(value, this.symbol)}`)];
    });
    const spans = [when, ...values].map((text) => el("span", {}, text));
    this.legend.replaceChildren(...spans, el("span", {class: kind || null}, change), el("span", {}, `V ${number(volume)}`), ...lines);
  }

  #drawAverages() {
    this.means = this.counts.map((count) => averageOf(this.bars, count));
    this.averages.forEach((line, index) => line.setData(this.means[index] ?? []));
  }

  // Set the newest point of each average. All points would be too much to draw several times a second.
  #extendAverages() {
    this.counts.forEach((count, line) => {
      const [point] = averageOf(this.bars.slice(-count), count);
      if (!point) return;
      const means = this.means[line];
      if (means.at(-1)?.time === point.time) means.pop();
      means.push(point);
      this.averages[line].update(point);
    });
  }

  #summarise() {
    this.#drawAverages();
    this.#describe();
  }

  #describe() {
    this.#tell(this.selected);
    const last = this.bars.at(-1);
    this.summary.textContent = last ? `${this.bars.length} ${this.bars.length === 1 ? "bar" : "bars"}. The newest: ${spoken(last)}.` : "No bars.";
  }

  #moved(range) {
    if (!range || !this.bars.length) return;
    const place = (logical) => this.bars[Math.min(this.bars.length - 1, Math.max(0, Math.round(logical)))];
    const times = this.chart.timeScale().getVisibleRange();
    const [from, to] = times ? [times.from, times.to] : [timeOf(place(range.from)), timeOf(place(range.to))];
    this.onRange({from, to, wantsPast: range.from < SOON, atEnd: to >= timeOf(this.bars.at(-1))});
  }

  #key(event) {
    const last = this.bars.length - 1;
    const index = this.selected < 0 ? last + 1 : this.selected;
    const targets = {ArrowLeft: index - 1, ArrowRight: index + 1, PageUp: index - 20, PageDown: index + 20, Home: 0, End: last};
    if (event.key === "Enter" && this.selected >= 0) this.#choose(this.selected);
    else if (event.key in targets && last >= 0) this.#select(Math.min(last, Math.max(0, targets[event.key])));
    else return;
    event.preventDefault();
  }

  #select(index) {
    this.selected = index;
    const bar = this.bars[index];
    this.chart.setCrosshairPosition(bar.close, timeOf(bar), this.candles);
    this.#reveal(timeOf(bar));
    this.#tell(index);
    this.voice.textContent = spoken(bar);
  }

  #reveal(time) {
    const scale = this.chart.timeScale();
    const x = scale.timeToCoordinate(time);
    const range = scale.getVisibleLogicalRange();
    if (x === null || !range || (x >= 0 && x <= scale.width())) return;
    const wide = range.to - range.from;
    const middle = scale.coordinateToLogical(x);
    scale.setVisibleLogicalRange({from: middle - wide / 2, to: middle + wide / 2});
  }

  #choose(index) {
    this.#select(index);
    this.onClick(this.bars[index]);
  }

  /** Show these bars instead of all others, oldest first. symbol: whose prices they are. averages: of how many bars each, two at most. */
  setBars(bars, {symbol = "", averages = []} = {}) {
    this.bars = [...bars];
    this.symbol = symbol;
    this.counts = averages;
    // The library asks for the legend of the bar below the pointer while it takes the bars.
    this.means = averages.map((count) => averageOf(this.bars, count));
    this.places = [];
    this.extended = [];
    this.selected = -1;
    // The library keeps the texts of marks until it gets options: those of another symbol or zone are wrong.
    this.chart.timeScale().applyOptions({tickMarkFormatter: (time, kind) => markText(time, kind, this.bars)});
    this.#draw();
  }

  /** Show these bars instead of all that start from one instant to before another. Those before the first bar are left out. */
  replaceBars(start, end, bars) {
    const [from, to] = [Date.parse(start), Date.parse(end)];
    const first = this.bars.length ? timeOf(this.bars[0]) : -Infinity;
    const newest = this.bars.length ? timeOf(this.bars.at(-1)) : -Infinity;
    const kept = this.bars.filter((bar) => instantOf(bar) < from || instantOf(bar) >= to);
    const fresh = bars.filter((bar) => timeOf(bar) >= first);
    const gone = this.bars.length - kept.length;
    if (!gone && !fresh.length) return;
    const [bar] = fresh;
    const isNewest = fresh.length === 1 && timeOf(bar) >= newest && gone === (timeOf(bar) === newest ? 1 : 0);
    this.bars = [...kept, ...fresh].sort((one, other) => timeOf(one) - timeOf(other));
    if (!isNewest) return this.#draw();
    this.candles.update(candleOf(bar, this.colours));
    this.volumes.update(volumeOf(bar, this.colours));
    this.#extendAverages();
    this.#describe();
  }

  /** Show earlier bars before the others. What is in view stays. */
  prependBars(bars) {
    const first = this.bars.length ? timeOf(this.bars[0]) : Infinity;
    const earlier = bars.filter((bar) => timeOf(bar) < first);
    if (this.selected >= 0) this.selected += earlier.length;
    this.bars = [...earlier, ...this.bars];
    this.#draw();
  }

  /** Shade the intervals of absences, `{start, end, reason}`, in which a bar is missing. Closed hours and quiet ones are not shaded. */
  showGaps(absences) {
    const places = placesOf(absences, this.bars);
    if (!places.length && !this.places.length) return;
    const scale = this.chart.timeScale();
    const [before, times] = [scale.getVisibleLogicalRange(), scale.getVisibleRange()];
    const isWhole = before?.to >= this.bars.length + this.places.length;
    this.places = places;
    this.#draw();
    // What was in view stays in view, beside the new places.
    if (before?.from < 0) scale.setVisibleLogicalRange({from: before.from, to: isWhole ? this.bars.length + places.length + MARGIN : before.to});
    else if (times) scale.setVisibleRange(times);
  }

  /** Shade the bars at these times, which are outside of the regular hours. */
  showExtended(times) {
    this.extended = times;
    this.#shade();
  }

  /** The times of the bars, in seconds since 1970. */
  times() {
    return this.bars.map(timeOf);
  }

  /** Show the bars from one second since 1970 to another; at least some, so that none is huge. */
  showRange(from, to) {
    const last = this.bars.findLastIndex((bar) => timeOf(bar) <= to);
    const found = this.bars.findIndex((bar) => timeOf(bar) >= from);
    const first = found < 0 ? this.bars.length : found;
    const scale = this.chart.timeScale();
    if (last - first < FEWEST) scale.setVisibleLogicalRange({from: last - FEWEST, to: last + MARGIN});
    else scale.setVisibleRange({from, to});
  }

  /** The time of the oldest bar in seconds since 1970; null without bars. */
  firstTime() {
    return this.bars.length ? timeOf(this.bars[0]) : null;
  }

  /** Show the newest bars. */
  showNewest(count = 120) {
    const {length} = this.bars;
    this.chart.timeScale().setVisibleLogicalRange({from: length - Math.max(FEWEST, Math.min(length, count)), to: length + MARGIN});
  }
}

/**
 * Make a chart in an element that has a height. A bar is one of the JSON answer of `ohlcv`.
 * @param {HTMLElement} element
 * @param {{onClick?: (bar: object) => void, onRange?: (range: {from: number, to: number, wantsPast: boolean, atEnd: boolean}) => void}} [options]
 *   onClick: a bar was clicked, or chosen with Enter. onRange: other bars came into view; times in seconds since 1970.
 */
export function makeChart(element, options) {
  return new Candles(element, options);
}
