// What the tables of the trading panel show.

import {byId, el, number} from "./dom.js";
import {LiveTable} from "./live_table.js";
import {averagePrice, gain, price} from "./prices.js";
import {inR, LASTS, money, outcomeOf, percent, words} from "./trading_words.js";
import {shortTime, zoneName} from "./zone.js";

const LIMITS = {
  daily_loss: "loss of the day", total_loss: "loss in all", symbol_exposure: "exposure in a symbol", gross_exposure: "exposure in all",
  orders_per_minute: "orders in a minute",
};

const named = ({symbol, strategy}) => (strategy ? `${symbol} (${strategy})` : symbol);
// Columns that a phone has no room for.
const wide = (column) => ({...column, wide: true});
const figure = (head, text) => ({head, text, figure: true});
const column = (head, text) => ({head, text});
const zoned = (head) => () => `${head} (${zoneName()})`;
const time = (head, name) => column(zoned(head), (row) => shortTime(row[name]));
const amount = (head, name) => figure(head, (row) => number(row[name]));
const priced = (head, name, text = price) => figure(head, (row) => text(row[name], row.symbol));
const inAll = figure("gain", ({pnl_base: pnl}) => gain(pnl, money));
const asR = wide(figure("in R", ({pnl_r: r}) => inR(r)));
const openGain = figure("open gain", ({unrealized_pnl: pnl, currency}) => gain(pnl, (value) => money(value, currency)));

/** Make the tables of positions, orders, executions, trades, signals and limits. may: whether the login may change them. */
export function tables({onClose, onCancel, may}) {
  const byRow = ({id}) => id;
  const button = (text, label, onclick) => ({
    head: "action",
    make: (row) => (may() ? el("button", {type: "button", "aria-label": label(row()), onclick: () => onclick(row())}, text) : null),
  });
  return {
    positions: new LiveTable(byId("trading-positions"), "Positions", [
      column("position", named), column("direction", ({direction}) => direction), amount("quantity", "quantity"),
      wide(priced("entry", "average_price", averagePrice)), wide(figure("mark", mark)), openGain, wide(inAll), asR,
      wide(figure("value", ({value, currency}) => money(value, currency))), wide(time("since", "opened_at")), button("Close", ({symbol}) => `Close ${symbol}`, onClose),
    ], {key: named, empty: "No positions."}),
    orders: new LiveTable(byId("trading-orders"), "Working orders", [
      column("order", named), column("side", ({side}) => side), column("type", ({type, leg}) => words(leg ?? type)),
      amount("quantity", "quantity"), wide(amount("filled", "filled_quantity")), figure("price", orderPrice),
      wide(column("state", ({status}) => words(status))), wide(column("time in force", ({time_in_force: lasts}) => LASTS[lasts])),
      wide(time("placed", "submitted_at")),
      button("Cancel", ({side, symbol}) => `Cancel ${side} ${symbol}`, onCancel),
    ], {key: byRow, empty: "No working orders."}),
    executions: new LiveTable(byId("trading-executions"), "Newest executions", [
      time("time", "at"), column("symbol", ({symbol}) => symbol), column("side", ({side}) => side),
      amount("quantity", "quantity"), priced("price", "price"), figure("fee", ({fee}) => money(fee)),
      wide(column("note", ({is_ambiguous: isUnsure}) => (isUnsure ? "by a bar" : ""))),
    ], {key: byRow, empty: "Nothing was executed yet."}),
    trades: new LiveTable(byId("trading-trades"), "Newest closed trades", [
      time("closed", "closed_at"), column("symbol", named), column("direction", ({direction}) => direction), amount("quantity", "quantity"),
      wide(priced("entry", "entry_price", averagePrice)), wide(priced("exit", "exit_price", averagePrice)), inAll, asR,
    ], {key: byRow, empty: "No trade was closed yet."}),
    signals: new LiveTable(byId("trading-signals"), "Newest signals", [
      column("signal", named), column("outcome", outcomeOf), column("direction", ({direction}) => direction), amount("quantity", "quantity"),
      wide(figure("entry", ({symbol, entry}) => (entry === null ? "market" : price(entry, symbol)))), wide(priced("stop", "stop")),
      wide(priced("target", "target")), wide(time("time", "at")),
    ], {key: byRow, empty: "No strategy has given a signal yet."}),
    limits: new LiveTable(byId("trading-limits"), "Limits used", [
      column("limit", ({name}) => LIMITS[name] ?? words(name)),
      figure("used", ({used}) => (used === null ? "not known" : number(Number(used.toFixed(2))))),
      amount("of", "limit"), column("unit", ({unit}) => unit),
    ], {key: ({name}) => name}),
  };
}

function mark({symbol, mark: value, marked_at: at, is_stale: isStale}) {
  if (value === null) return ["no price", "old"];
  return isStale ? [`${price(value, symbol)}, old: of ${shortTime(at)}`, "old"] : [price(value, symbol), ""];
}

function orderPrice({symbol, limit_price: limit, stop_price: stop}) {
  return [stop !== null && `stop ${price(stop, symbol)}`, limit !== null && `limit ${price(limit, symbol)}`].filter(Boolean).join(", ") || "market";
}

/** The account's figures, as terms and values. */
export function figures(portfolio) {
  const {equity, cash, currency, total_unrealized_pnl: pnl, drawdown_pct: down, risk_level: risk, exposure} = portfolio;
  const [unrealized, kind] = gain(pnl, (value) => money(value, currency));
  const rows = {
    Equity: [equity === null ? "not known: a position has no price" : money(equity, currency)], Cash: [money(cash, currency)],
    "Open gain": [unrealized, kind], "Open trades in R": tradesInR(portfolio), Drawdown: [percent(down)],
    "Risk level": [`${percent(risk)} a trade`], Exposure: [percent(exposure.gross_pct)],
  };
  return Object.entries(rows).map(([name, [value, sign]]) => el("div", {}, el("dt", {}, name), el("dd", {"data-kind": sign || null}, value)));
}

function tradesInR({total_pnl: r, without_r: without, positions}) {
  if (without && without === positions.length) return ["not known without a stop"];
  const [text, kind] = inR(r);
  return [without ? `${text}, without ${without} that ${without === 1 ? "has" : "have"} no stop` : text, kind];
}

/** The limits of `GET /risk` as rows. */
export const limitsOf = ({limits}) => Object.entries(limits).map(([name, each]) => ({name, ...each}));
