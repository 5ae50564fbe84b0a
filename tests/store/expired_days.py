"""Days of trades of a share, and every kind of bars that is made of them."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from calendars.schedule import Anchor, Hours, SessionMode
from store.bar_policies import BAR_POLICIES
from store.bars.bars import Bars
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.log_views.bar_grid import instrument_grid
from store.log_views.log_view import empty_view, view_of
from store.log_views.stored_bars import with_stored_bars
from store.log_views.trade_bars import TradeBars
from store.market_store import MarketStore
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import parse_timestamp
from tests.store.builders import MINUTE, SYMBOL, amendment, batch, cancel, correct, trade

DATES = ("2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08")
BEFORE = parse_timestamp("2025-01-07T00:00:00Z")
WINDOW = Window(parse_timestamp("2025-01-01T00:00:00Z"), parse_timestamp("2025-01-09T00:00:00Z"))
FEW_RESOLUTIONS = ("30m", "1d")
RESOLUTIONS = ("1m", "7m", "30m", "1h", "4h", "1d", "1w", "1M")
INSTRUMENT = Instrument(SYMBOL, "us_equities", exchange="XNAS")
_WORDS = (None, None, None, "regular", "odd_lot", "cross", "average_price", "regular;odd_lot")


def trades_on(date: str, count: int = 4) -> list[dict[str, Any]]:
    """So many trades of a date before, during and after the session, and its auctions, which are late; in any order."""
    chance, begin = random.Random(date), parse_timestamp(f"{date}T00:00:00Z")
    rows = [
        _trade(chance, begin + chance.randrange(9 * 60, 24 * 60) * MINUTE + chance.randrange(MINUTE))
        for _ in range(count)
    ]
    opening, closing = begin + 14 * 60 * MINUTE + 30 * MINUTE, begin + 21 * 60 * MINUTE
    rows += [
        _trade(chance, opening + 7, "opening_print"),
        _trade(chance, closing + 90 * MINUTE // 60, "closing_print"),
    ]
    return [
        *rows,
        _trade(chance, closing + 5, "closing_print"),
        _trade(chance, closing + 3 * MINUTE, "extended_hours;odd_lot"),
    ]


def _trade(chance: random.Random, at: int, words: str | None = None) -> dict[str, Any]:
    price, volume = round(100 + chance.random(), 4), chance.choice([0.1, 0.37, 1.0, 250.0])
    return trade(at, price, volume, conditions=words or chance.choice(_WORDS))


def store_days(store: MarketStore, *, symbol: str = SYMBOL, count: int = 4) -> None:
    """Store the days, with a cancel, a correction and a late trade."""
    store.set_instrument(INSTRUMENT)
    for date in DATES:
        store.append(batch(*trades_on(date, count), symbol=symbol))
    first = trades_on(DATES[0])[0]
    second = trades_on(DATES[1])[1]
    named = {"price": first["price"], "volume": first["volume"]}
    store.correct(amendment(cancel(first["timestamp"], **named), symbol=symbol))
    named = {"price": second["price"], "volume": second["volume"]}
    store.correct(amendment(correct(second["timestamp"], new={"price": 101.5}, **named), symbol=symbol))
    store.append(batch(trade(parse_timestamp(f"{DATES[1]}T15:00:00.5Z"), 100.25, 3.0), symbol=symbol))


def grids(resolutions: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the grids by name: clock and session, all and regular hours, dates of the exchange and of UTC."""
    for text in resolutions:
        resolution = Resolution.parse(text)
        for hours in (Hours.ALL, Hours.REGULAR):
            for anchor in Anchor:
                for session in (SessionMode.EXCHANGE, SessionMode.UTC):
                    if session is SessionMode.UTC and (hours is not Hours.ALL or anchor is not Anchor.CLOCK):
                        continue
                    name = f"{text} {hours} {anchor} {session}"
                    yield (
                        name,
                        instrument_grid(INSTRUMENT, resolution, session=session, hours=hours, anchor=anchor),
                    )


def all_bars(store: MarketStore, resolutions: Sequence[str] = FEW_RESOLUTIONS) -> dict[str, list[Any]]:
    """Return the bars of every grid and policy, as lists of columns."""
    view = view_of(store.log(TRADES, SYMBOL).at())
    stored = empty_view(store.log(BARS, SYMBOL))
    found = {}
    for policy in BAR_POLICIES.values():
        for name, grid in grids(resolutions):
            maker = with_stored_bars(TradeBars(view, grid, policy), stored, grid)
            found[f"{policy.name} {name}"] = columns(maker.bars(grid.aligned(WINDOW.start_ns, WINDOW.end_ns)))
    return found


def columns(bars: Bars) -> list[Any]:
    return [np.asarray(getattr(bars, name)).tolist() for name in Bars.__slots__]
