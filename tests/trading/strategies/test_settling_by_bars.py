"""Futures on stored bars are settled at the close of each session, as on prints."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.datasets import QUOTES
from store.instruments import FUTURE
from store.protocol import Append
from store.timestamps import format_timestamp
from tests.trading.strategies.past import batch_of
from tests.trading.strategies.resolutions import HOUR_NS, RESOLUTIONS, Session, dates, run, write
from trading.core.events import Settled

CLOSES = (100, 102, 105, 103, 110, 111)
SESSIONS = [Session(close - 1, close) for close in CLOSES]
EXCHANGES = ("XCME", "XEUR", None)


def settled(
    path: Path, resolution: str, exchange: str | None, side: str, **more: Any
) -> tuple[list[Any], Any]:
    """Return the settlements of a future that is held from the second session on, and the run."""
    instrument = {"instrument_class": FUTURE, "multiplier": 50.0} | more.pop("instrument", {})
    store = write(path, resolution, SESSIONS, exchange=exchange, **instrument)
    # The rate falls at 23:00Z, after each session's end and before the daily bar's.
    quotes = [
        {"timestamp": at_ns + hours * HOUR_NS, "bid": rate - 0.001, "ask": rate + 0.001}
        for number, at_ns in enumerate(dates(len(CLOSES)))
        for hours, rate in ((0, 1.0 - number / 100), (23, 0.99 - number / 100))
    ]
    store.append(Append(QUOTES, "USD-CHF", batch_of(QUOTES, quotes), "test"))
    plan = {0: [{"side": side, "quantity": Decimal(2), "time_in_force": "gtc"}]}
    found = run(path, plan, len(CLOSES), **more)
    events = [each.event for each in found.recorded if isinstance(each.event, Settled)]
    return [(each.date, each.price, each.rate, each.is_final) for each in events], found


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("currency", ["USD", "CHF"])
def test_each_session_is_settled_at_its_close(tmp_path: Path, exchange: str | None, side: str, currency: str):
    rows, prints = settled(tmp_path / "prints", "prints", exchange, side, currency=currency)
    # A session without a calendar ends at the midnight after it.
    ends = [at_ns + (24 * HOUR_NS if exchange is None else 0) for at_ns in dates(5)[1:]]
    expected = [(format_timestamp(at_ns)[:10], price) for at_ns, price in zip(ends, CLOSES[1:5], strict=True)]
    assert [(date, price) for date, price, *_ in rows][:4] == expected
    for resolution in RESOLUTIONS[1:]:
        found, by_bars = settled(tmp_path / resolution, resolution, exchange, side, currency=currency)
        assert found == rows
        assert by_bars.result == prints.result


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_last_session_is_settled_at_its_close(tmp_path: Path, resolution: str):
    expiring = {"expiry": format_timestamp(dates(4)[3])[:10]}
    rows, found = settled(tmp_path, resolution, "XCME", "buy", instrument=expiring)
    assert [price for _, price, *_ in rows] == [102, 105, 103]
    assert [is_final for *_, is_final in rows] == [False, False, True]
    assert found.decided[-1][0] == 100_000 + 2 * 50 * (103 - 101)
