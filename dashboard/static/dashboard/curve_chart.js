// Charts of a curve in the colours of the page, drawn by lightweight-charts (a global script that the page loads before the modules).

import {markText} from "./candle_series.js";
import {shownTime} from "./zone.js";

const COLOURS = ["text", "surface", "line", "accent", "muted", "up", "down"];

/** The page's colours of now, by their names in base.css. */
export function pageColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Make a chart that cannot be moved. build: adds its series, and returns what colours them, now and when the page's colours change. */
export function curveChart(element, build) {
  const chart = LightweightCharts.createChart(element, {
    autoSize: true, timeScale: {timeVisible: true, minBarSpacing: 0.01}, handleScale: false, handleScroll: false, localization: {timeFormatter: shownTime},
  });
  // The library keeps the texts of marks until it gets options.
  const showZone = () => chart.timeScale().applyOptions({tickMarkFormatter: (time, kind) => markText(time, kind, [])});
  document.addEventListener("zone", showZone);
  showZone();
  const recolour = build(chart);
  const colour = () => {
    const colours = pageColours();
    const {text, surface, line} = colours;
    chart.applyOptions({
      layout: {textColor: text, background: {color: surface}}, grid: {vertLines: {visible: false}, horzLines: {color: line}},
      timeScale: {borderColor: line}, rightPriceScale: {borderColor: line},
    });
    recolour(colours);
  };
  colour();
  // It may have been hidden when its points came.
  chart.timeScale().subscribeSizeChange(() => chart.timeScale().fitContent());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
  return chart;
}

const STEPS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const MOST_STEPS = 400;

/** Points by time as points at even steps, each with what held then: the same time is equally wide everywhere. */
export function evenSteps(points) {
  const [first, last] = [points[0]?.time, points.at(-1)?.time];
  const step = STEPS.find((each) => (last - first) / each <= MOST_STEPS) ?? STEPS.at(-1);
  const even = [];
  let index = 0;
  for (let time = Math.floor(first / step) * step; time < last + step; time += step) {
    while (index + 1 < points.length && points[index + 1].time <= time) index++;
    even.push({...points[index], time});
  }
  return even;
}

export const seconds = (at) => Math.floor(Date.parse(at) / 1000);

/** A curve's points by second: of several in one the last. value: what is kept of a point. */
export function pointsOf(curve, value) {
  return [...new Map(curve.map((point) => [seconds(point.at), value(point)]))].map(([time, kept]) => ({time, ...kept}));
}
