"""The strategies of `benchmarks.next_opens` in another program: `python -m benchmarks.next_opens_peer PROGRAM`, in the peers' environment.

Reads JSON: `rows` (time, open, high, low, close, volume), `strategy`, `parameters`, `cash`. Prints JSON: `fills`, each the index
of the bar, the signed quantity and the price, and `equity` at the last close. The decisions are computed anew here.
"""

import json
import sys
from decimal import Decimal
from typing import Any, NamedTuple

_RISK, _CENT = Decimal("0.25"), Decimal("0.01")


class Decision(NamedTuple):
    """quantity: to buy; 0 to close. stop: the price of a protective stop."""

    quantity: int
    stop: float | None = None


class Decider:
    """Decides by the bars up to an index, given what is held and what the account is worth."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.rows = [[Decimal(repr(value)) for value in row[1:5]] for row in asked["rows"]]
        self.strategy, self.own = asked["strategy"], asked["parameters"]

    def decide(self, index: int, held: float, equity: float) -> Decision | None:
        return (self._crossover if self.strategy == "crossover" else self._breakout)(index, held, equity)

    def _is_above(self, index: int) -> bool | None:
        fast, slow = self.own["fast"], self.own["slow"]
        if index + 1 < slow:
            return None
        closes = [row[3] for row in self.rows[index + 1 - slow : index + 1]]
        return sum(closes[-fast:]) * slow > sum(closes) * fast

    def _crossover(self, index: int, held: float, equity: float) -> Decision | None:
        before, now = self._is_above(index - 1), self._is_above(index)
        if before is None or before is now:
            return None
        if now and not held:
            return Decision(self.own["quantity"])
        return Decision(0) if not now and held else None

    def _breakout(self, index: int, held: float, equity: float) -> Decision | None:
        entry, exit_ = self.own["entry"], self.own["exit"]
        if index < max(entry, exit_):
            return None
        close, channel = self.rows[index][3], self.rows[index - entry : index]
        if held:
            return Decision(0) if close < min(row[2] for row in self.rows[index - exit_ : index]) else None
        if close <= max(row[1] for row in channel):
            return None
        loss = self.own["ranges"] * (sum(row[1] for row in channel) - sum(row[2] for row in channel)) / entry
        if not 0 < loss < close:
            return None
        units = min(_RISK / 100 / loss, Decimal(repr(self.own["part"])) / close)
        return Decision(
            int(Decimal(repr(round(float(equity), 6))) * units), float((close - loss).quantize(_CENT))
        )


def by_backtesting(asked: dict[str, Any]) -> dict[str, Any]:
    import pandas as pd
    from backtesting import Backtest, Strategy

    decider = Decider(asked)

    class Own(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            found = decider.decide(len(self.data) - 1, self.position.size, self.equity)
            if found is None:
                return
            if found.quantity:
                self.buy(size=found.quantity, sl=found.stop)
            else:
                self.position.close()

    frame = pd.DataFrame(
        [row[1:] for row in asked["rows"]], columns=["Open", "High", "Low", "Close", "Volume"]
    )
    frame.index = pd.to_datetime([row[0] for row in asked["rows"]])
    found = Backtest(frame, Own, cash=asked["cash"], commission=0).run()
    fills = list[Any]()
    for trade in found["_trades"].itertuples():
        fills += [
            (trade.EntryBar, trade.Size, trade.EntryPrice),
            (trade.ExitBar, -trade.Size, trade.ExitPrice),
        ]
    fills += [(trade.entry_bar, trade.size, trade.entry_price) for trade in found["_strategy"].trades]
    return {"fills": fills, "equity": found["Equity Final [$]"]}


def by_backtrader(asked: dict[str, Any]) -> dict[str, Any]:
    import backtrader
    import pandas as pd

    decider, fills = Decider(asked), list[Any]()

    class Own(backtrader.Strategy):
        protection: Any = None

        def next(self) -> None:
            index, held = len(self.data) - 1, self.position.size
            found = decider.decide(index, held, self.broker.getvalue())
            if found is None:
                return
            if not found.quantity:
                if self.protection is not None:
                    self.cancel(self.protection)
                self.close()
            elif found.stop is None:
                self.buy(size=found.quantity)
            else:
                entry = self.buy(size=found.quantity, transmit=False)
                self.protection = self.sell(
                    size=found.quantity, exectype=backtrader.Order.Stop, price=found.stop, parent=entry
                )

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                fills.append((len(self.data) - 1, order.executed.size, order.executed.price))

    frame = pd.DataFrame(
        [row[1:] for row in asked["rows"]], columns=["open", "high", "low", "close", "volume"]
    )
    frame.index = pd.to_datetime([row[0] for row in asked["rows"]])
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(asked["cash"])
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Own)
    cerebro.run()
    return {"fills": fills, "equity": cerebro.broker.getvalue()}


if __name__ == "__main__":
    program = {"backtesting.py": by_backtesting, "backtrader": by_backtrader}[sys.argv[1]]
    print(json.dumps(program(json.load(sys.stdin)), default=float))
