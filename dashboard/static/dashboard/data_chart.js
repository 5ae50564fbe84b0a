// Draws the bars of a data page, which are in the page as JSON.

import {makeChart} from "./candles.js";

const bars = JSON.parse(document.getElementById("bars").textContent);
const candles = makeChart(document.getElementById("chart"));
candles.setBars(bars);
candles.chart.timeScale().fitContent();
