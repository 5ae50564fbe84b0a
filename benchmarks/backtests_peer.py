"""A crossover by another program. Run as `python -m benchmarks.backtests_peer PROGRAM FILE QUANTITY`, in the peers' environment.

FILE is of numpy: `open`, `high`, `low`, `close` of consecutive minutes, or `time_ns`, `price` of trades; and `signal`: 1 for a minute
after which the strategy buys, -1 for one after which it closes. Orders fill at the next open, without costs. Prints a JSON list: processor seconds of the run, fills, final equity.
"""

import json
import sys
import time
from decimal import Decimal
from typing import Any

CASH = 1_000_000
Answer = tuple[float, int, float]


def _frame(rows: Any) -> Any:
    """Return the minutes as a frame, by their starts. Those of trades are made by pandas."""
    import pandas as pd

    if "price" in rows:
        return pd.Series(rows["price"], pd.to_datetime(rows["time_ns"])).resample("1min").ohlc()
    index = pd.date_range("2020", periods=len(rows["open"]), freq="min")
    return pd.DataFrame({name: rows[name] for name in ("open", "high", "low", "close")}, index)


def by_backtesting(minutes: Any, quantity: int) -> Answer:
    from backtesting import Backtest, Strategy

    class Crossover(Strategy):
        def init(self) -> None:
            self.signal = self.I(lambda: minutes["signal"])

        def next(self) -> None:
            if self.signal[-1] > 0:
                self.buy(size=quantity)
            elif self.signal[-1] < 0:
                self.position.close()

    began = time.process_time()
    frame = _frame(minutes)
    found = Backtest(frame.rename(columns=str.capitalize), Crossover, cash=CASH, commission=0).run()
    seconds = time.process_time() - began
    trades, still_open = len(found["_trades"]), len(found["_strategy"].trades)
    return seconds, 2 * trades + still_open, float(found["Equity Final [$]"])


def by_nautilus(minutes: Any, quantity: int) -> Answer:
    import pandas as pd
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.backtest.models import FillModel, LatencyModel
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.persistence.wranglers import BarDataWrangler
    from nautilus_trader.trading.strategy import Strategy

    venue = Venue("SIM")
    instrument = Equity(
        instrument_id=InstrumentId(Symbol("TEST"), venue), raw_symbol=Symbol("TEST"), currency=USD, price_precision=2,
        price_increment=Price.from_str("0.01"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
    )  # fmt: skip
    bar_type = BarType.from_str("TEST.SIM-1-MINUTE-LAST-EXTERNAL")

    class Crossover(Strategy):
        fills, place = 0, 0

        def on_start(self) -> None:
            self.subscribe_bars(bar_type)

        def on_bar(self, bar: Any) -> None:
            signal = minutes["signal"][self.place]
            self.place += 1
            if signal > 0:
                self._order(OrderSide.BUY)
            elif signal < 0 and not self.portfolio.is_flat(instrument.id):
                self._order(OrderSide.SELL)

        def _order(self, side: OrderSide) -> None:
            self.submit_order(
                self.order_factory.market(instrument.id, side, instrument.make_qty(Decimal(quantity)))
            )

        def on_order_filled(self, event: Any) -> None:
            self.fills += 1

    began = time.process_time()
    frame = _frame(minutes)
    frame["volume"], frame.index = 1e6, frame.index.tz_localize("UTC") + pd.Timedelta(minutes=1)
    bars = BarDataWrangler(bar_type, instrument).process(frame)
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False)
    )
    # An order comes after the bar's close, so that the next open fills it.
    engine.add_venue(
        venue, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, USD)], base_currency=USD,
        fill_model=FillModel(), latency_model=LatencyModel(base_latency_nanos=1), bar_execution=True,
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(bars)
    strategy = Crossover()
    engine.add_strategy(strategy)
    engine.run()
    seconds = time.process_time() - began
    cash = float(engine.portfolio.account(venue).balance_total(USD).as_double())
    held = float(engine.portfolio.net_position(instrument.id))
    entered = [each.avg_px_open for each in engine.cache.positions_open()]
    gain = (float(frame["close"].iloc[-1]) - entered[0]) * held if entered else 0.0
    return seconds, strategy.fills, cash + gain


PROGRAMS = {"backtesting": by_backtesting, "nautilus": by_nautilus}


if __name__ == "__main__":
    import numpy as np

    with np.load(sys.argv[2]) as file:
        read = {name: file[name] for name in file.files}
    print(json.dumps(PROGRAMS[sys.argv[1]](read, int(sys.argv[3]))))
