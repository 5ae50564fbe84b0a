// The page of a backtest: equity and drawdown, and the trades on the candles of a symbol. Until it has ended, the page waits.

import {reached, refusalOf} from "./api.js";
import {makeChart} from "./candles.js";
import {stepOf, timeOf} from "./candle_series.js";
import {curveChart, pageColours, pointsOf, seconds} from "./curve_chart.js";
import {byId, instant, number} from "./dom.js";
import {codeLink} from "./messages.js";
import {marketPath} from "./state.js";
import {money, percent} from "./trading_words.js";

const WAIT_MS = 1000;
const MOST_BARS = 1000;
// Of these lengths the shortest is asked for that needs at most MOST_BARS.
const RESOLUTIONS = [["1m", 60], ["5m", 300], ["15m", 900], ["30m", 1800], ["1h", 3600], ["4h", 14400], ["1d", 86400], ["1w", 604800]];

async function read(url) {
  const answer = await reached(url, {headers: {Accept: "application/json"}});
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

/** Say how much is done, and show the page anew at the end. A refusal ends the watch; a server that is away is asked again. */
async function watch(element) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    try {
      const job = await read(element.dataset.url);
      if (!job.links.cancel) return location.reload();
      element.textContent = `The backtest is ${job.state}${job.progress.total ? `: ${job.progress.done} %` : ""}. The page shows its result when it has ended.`;
    } catch (error) {
      const next = error.isFinal ? "Open the page again to go on." : "The page asks again.";
      element.replaceChildren(`The backtest cannot be watched: ${error.message} `, codeLink(error) ?? "", ` ${next}`);
      if (error.isFinal) return;
    }
  }
}

// Equity is constant from mark to mark: lines are steps, and the drawdown's area is between zero and its line.
const STEPS = {lineWidth: 2, lineType: 1, priceLineVisible: false};

function drawCurve(element, points, colourName, isArea) {
  const chart = curveChart(element, (made) => {
    const series = isArea ? made.addBaselineSeries({...STEPS, baseValue: {type: "price", price: 0}}) : made.addLineSeries(STEPS);
    series.setData(points);
    return ({[colourName]: own}) => series.applyOptions(isArea
      ? {topLineColor: own, bottomLineColor: own, bottomFillColor1: `${own}22`, bottomFillColor2: `${own}88`} : {color: own});
  });
  chart.timeScale().fitContent();
}

function drawCurves({curve}) {
  drawCurve(byId("equity"), pointsOf(curve, ({equity: value}) => ({value})), "accent", false);
  drawCurve(byId("drawdown"), pointsOf(curve, ({drawdown_pct: down}) => ({value: -down})), "down", true);
  const last = curve.at(-1);
  const deepest = Math.max(0, ...curve.map(({drawdown_pct: down}) => down));
  byId("curve-text").textContent = last ? `Equity ${money(last.equity)} at the end (${instant(last.at)} UTC). At most it was ${percent(deepest)} below its high.` : "No equity was recorded.";
}

/**
 * The places of trades in the bars: the last bar that begins before them. An open position has no `closed_at`. Trades of
 * one side in one bar are one arrow with their number.
 */
export function markersOf(trades, bars) {
  const times = bars.map(timeOf);
  const {accent, text: dark} = pageColours();
  const end = times.at(-1) + stepOf(bars);
  const markers = new Map();
  const mark = (instant, isBuy) => {
    const time = times.findLast((each) => each <= seconds(instant));
    if (time === undefined || seconds(instant) > end) return;
    const shape = isBuy ? "arrowUp" : "arrowDown";
    const {count = 0} = markers.get(time + shape) ?? {};
    markers.set(time + shape, {
      time, shape, position: isBuy ? "belowBar" : "aboveBar", color: isBuy ? accent : dark, count: count + 1, text: count ? `${count + 1}` : "",
    });
  };
  for (const {direction, opened_at: opened, closed_at: closed} of trades) {
    mark(opened, direction === "LONG");
    if (closed) mark(closed, direction !== "LONG");
  }
  return [...markers.values()].sort((one, other) => one.time - other.time);
}

/** What the candles of a symbol show, in words. A long result has the first trades only. */
export function shownText(symbol, {trades, trades_in_all: inAll, positions}, bars, resolution) {
  const [closed, open] = [trades, positions].map((rows) => rows.filter((row) => row.symbol === symbol).length);
  const part = trades.length < inAll ? ` (of the first ${number(trades.length)} of ${number(inAll)} trades)` : "";
  const left = open ? " A position is open at the end." : "";
  return `${symbol}: ${closed} closed ${closed === 1 ? "trade" : "trades"}${part} on ${bars} bars of ${resolution}. Blue arrows up are purchases, arrows down are sales.${left}`;
}

function resolutionFor(start, end) {
  const length = seconds(end) - seconds(start);
  return (RESOLUTIONS.find(([, each]) => length / each <= MOST_BARS) ?? RESOLUTIONS.at(-1))[0];
}

class TradedCandles {
  constructor(drawn) {
    this.drawn = drawn;
    this.candles = makeChart(byId("chart"));
    this.choice = byId("symbol");
    this.choice.addEventListener("change", () => this.show());
  }

  async show() {
    const symbol = this.choice.value;
    const {start, end, trades, positions} = this.drawn;
    const resolution = resolutionFor(start, end);
    byId("chart-text").textContent = "";
    try {
      const bars = await this.#bars(symbol, {start, end, resolution, limit: MOST_BARS});
      if (symbol !== this.choice.value) return;
      const own = [...trades, ...positions].filter((each) => each.symbol === symbol);
      this.candles.setBars(bars);
      this.candles.candles.setMarkers(bars.length ? markersOf(own, bars) : []);
      this.candles.chart.timeScale().fitContent();
      byId("chart-text").textContent = shownText(symbol, this.drawn, bars.length, resolution);
    } catch (error) {
      byId("chart-text").textContent = `The candles of ${symbol} cannot be shown: ${error.message}`;
    }
  }

  async #bars(symbol, query) {
    const instrument = await read(`/api/v1/instruments/${encodeURIComponent(symbol)}`);
    return (await read(`/api/v1${marketPath(instrument.class, symbol, "/ohlcv")}?${new URLSearchParams(query)}`)).bars;
  }
}

const running = byId("running");
const drawn = byId("drawn");
if (running) watch(running);
if (drawn) {
  const document = JSON.parse(drawn.textContent);
  drawCurves(document);
  new TradedCandles(document).show();
}
