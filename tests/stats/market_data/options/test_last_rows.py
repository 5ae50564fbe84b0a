"""The row of a log that stands at an instant, against a look at all rows."""

import random

import numpy as np
import pytest

from stats.market_data.plan import log_at
from store.datasets import OPTION_QUOTES
from store.instruments import Instrument
from store.log_views import last_rows
from store.log_views.last_rows import last_rows_at
from store.log_views.log_view import LogView
from store.timestamps import parse_timestamp
from tests.api_client import Api
from tests.stats.market_data.options.market import (
    CALL,
    OPENING,
    UNDERLYING,
    rows_of,
    seconds_after,
    store_quotes,
    store_spot,
)  # fmt: skip
from trades.stores import market_store

REACH_NS = 40 * 10**9
START = parse_timestamp(OPENING)


@pytest.fixture
def quoted(api: Api) -> tuple[LogView, list[int], list[float]]:
    """A log of quotes at irregular instants, some of which share one, with their times and bids."""
    chance = random.Random(5)
    seconds = sorted(chance.choice([1, 7]) * chance.randrange(400) for _ in range(300))
    bids = [float(number) for number in range(1, 301)]
    store_quotes(
        api,
        [
            {"timestamp": seconds_after(OPENING, at), "symbol": CALL.symbol, "bid": bid, "ask": None}
            for at, bid in zip(seconds, bids, strict=True)
        ],
    )
    log = log_at(OPTION_QUOTES, CALL.symbol)
    return log, [START + at * 10**9 for at in seconds], bids


def slowly(times: list[int], bids: list[float], at: int, *, kept=lambda _bid: True) -> float | None:
    found = [(time, bid) for time, bid in zip(times, bids, strict=True) if time <= at and kept(bid)]
    return found[-1][1] if found and at - found[-1][0] <= REACH_NS else None


@pytest.mark.parametrize("whole_rows", [0, 10, 16_384])
@pytest.mark.parametrize("every", [1, 7], ids=["every row", "some rows"])
def test_the_row_is_the_last_at_or_before_the_instant(quoted, monkeypatch, whole_rows, every):
    monkeypatch.setattr(last_rows, "_MOST_ROWS", whole_rows)
    monkeypatch.setattr(last_rows, "_MOST_ROWS_EACH", 0)
    log, times, bids = quoted
    instants = np.array(sorted({*times, *(time - 1 for time in times), START - 1, START + 10**13}))
    found = last_rows_at(
        log, instants, reach_ns=REACH_NS, row_filter=lambda rows: rows.column("bid").to_numpy() % every == 0
    )
    wanted = [slowly(times, bids, at, kept=lambda bid: bid % every == 0) for at in instants.tolist()]
    assert found.values("bid").to_pylist() == wanted
    assert None in wanted


def test_prints_that_set_no_price_are_no_price_of_the_underlying(api: Api):
    market_store().set_instrument(Instrument(UNDERLYING, bar_policy="us_equities"))
    store_quotes(api, [CALL.quote(seconds_after(OPENING, 60))])
    store_spot(api, OPENING)
    average = {"timestamp": seconds_after(OPENING, 30), "symbol": UNDERLYING, "price": 70.0, "volume": 1}
    assert api.ingest({**average, "conditions": ["average_price"]}).status_code == 200
    (row,) = rows_of(api, CALL.symbol)
    assert (row["spot"], row["spot_timestamp"]) == (100.0, OPENING)
