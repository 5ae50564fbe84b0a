"""The day of IBM with every print, over HTTP: its daily bar is the vendor's, whatever asks for it."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from store.datasets import TRADES
from store.protocol import Append, Dedupe
from tests.api_client import Api, answer
from tests.installation import shared_installation
from tests.stats.market_data.builders import ingest, midnight_ns, tell
from tests.store.real_data import PRICE_UNIT, equity_trades, real_frame
from tests.store.real_data import midnight_ns as midnight_of
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]
PRICES = ["open", "high", "low", "close"]
DAY = {"start": "2013-10-07", "end": "2013-10-08", "resolution": "1d"}
TREE = "/api/v1/market-data/equities"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def ibm(django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Every print of 7 October 2013."""
    rows = equity_trades("equity/ibm_20131007_tick_trade.csv", midnight_of(2013, 10, 7))
    (batch,) = rows.select(TRADES.schema.names).combine_chunks().to_batches()
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("ibm") / "store") as api:
        tell(api, "IBM", **{"class": "equity", "exchange": "XNYS", "bar_policy": "us_equities"})
        market_store().append(Append(TRADES, "IBM", batch, "test", dedupe=Dedupe.NONE))
        yield api


@pytest.fixture(scope="module")
def vendor() -> list[float]:
    days = real_frame("equity/ibm_201310_daily_trade.csv", ["date", *PRICES, "volume"], index_col="date")
    return list(days.loc["20131007 00:00", PRICES] / PRICE_UNIT)


def page(api: Api, **asked: str) -> Any:
    return answer(api.get(f"{TREE}/IBM/ohlcv", {**DAY, **asked}))["bars"]


def prices(bars: list[Row]) -> list[list[float]]:
    return [[bar[name] for name in PRICES] for bar in bars]


def test_a_day_is_the_vendors(ibm: Api, vendor: list[float]):
    assert vendor == [182.00, 183.30, 181.85, 182.01]
    assert prices(page(ibm)) == [vendor]
    assert page(ibm) == page(ibm, hours="regular", session="exchange")
    assert [bar["timestamp"] for bar in page(ibm)] == ["2013-10-07T13:30:00Z"]


@pytest.mark.parametrize("resolution", ["1w", "3M"])
def test_a_week_and_a_month_are_of_such_days(ibm: Api, vendor: list[float], resolution: str):
    assert prices(page(ibm, resolution=resolution)) == [vendor]


def test_all_hours_and_utc_days_have_the_prints_around_the_session_too(ibm: Api, vendor: list[float]):
    (all_hours,), (utc,) = page(ibm, hours="all"), page(ibm, session="utc")
    assert (all_hours["timestamp"], utc["timestamp"]) == ("2013-10-07T04:00:00Z", "2013-10-07T00:00:00Z")
    assert prices([all_hours]) == prices([utc]) != [vendor]
    ohlc = answer(ibm.get("/v1/stats/ohlc", {"symbol": "IBM", "interval": "1d"}))["data"]
    assert prices(ohlc) == prices([utc])


def test_below_a_day_all_hours_are_the_default(ibm: Api):
    assert page(ibm, resolution="1h") == page(ibm, resolution="1h", hours="all")
    assert len(page(ibm, resolution="1h")) > len(page(ibm, resolution="1h", hours="regular"))


def test_every_read_of_days_has_the_same_day(ibm: Api, vendor: list[float]):
    snapshot = answer(ibm.get(f"{TREE}/IBM/snapshot"))
    assert [snapshot["daily_bar"]] == page(ibm)
    several = answer(ibm.get(f"{TREE}/ohlcv", {**DAY, "symbols": "IBM"}))["bars"]
    assert several == [{"symbol": "IBM", **bar} for bar in page(ibm)]
    covered = answer(ibm.get(f"{TREE}/IBM/ohlcv", {**DAY, "coverage": "1"}))
    assert (covered["bars"], covered["absences"]) == (page(ibm), [])
    stream = b"".join(ibm.get(f"{TREE}/IBM/ohlcv/stream", DAY).streaming_content)
    assert [orjson.loads(line) for line in stream.splitlines()] == page(ibm)


def test_a_dividend_is_taken_from_the_official_close(ibm: Api, vendor: list[float]):
    action = {"time_ns": midnight_ns("2013-10-08"), "kind": "dividend", "amount": 1.0}
    ingest(ibm, "corporate_actions", "IBM", [action])
    (bar,) = page(ibm, adjustment="all")
    assert bar["close"] == pytest.approx(vendor[3] - 1.0, rel=1e-12)
