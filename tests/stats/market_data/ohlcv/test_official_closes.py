"""The close that a dividend's factor is taken from: the official one, whatever bars are asked for."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pandas as pd
import pytest

from tests.api_client import answer
from tests.chance import SOAK, cases_of
from tests.installation import shared_installation
from tests.stats.market_data.builders import Market, ingest, midnight_ns, tell
from tests.stats.market_data.oracle import SECOND_NS
from tests.store.real_data import PRICE_UNIT, real_frame

pytestmark = [pytest.mark.django_db, pytest.mark.system]
BAR = ["open", "high", "low", "close"]
Row = dict[str, Any]
DAY_NS = 86_400 * SECOND_NS
# Eastern winter time: the open, the last second of the session, the closing auction, an hour after the close.
OPEN_NS, LAST_NS, AUCTION_NS, LATE_NS = (
    clock * SECOND_NS for clock in (14 * 3600 + 1800, 21 * 3600 - 1, 21 * 3600 + 5, 22 * 3600)
)
BEFORE, EX_DATE = midnight_ns("2025-01-06"), midnight_ns("2025-01-07")
QUERIES = [
    {"hours": hours, "session": session, "resolution": resolution}
    for hours, session, resolution in cases_of(
        ("all", "regular", "extended"), ("exchange", "utc"), ("1m", "7h", "1d", "3d", "1w", "3M")
    )
]


def told(market: Market, symbol: str, policy: str = "all") -> None:
    facts = {"class": "equity", "exchange": "XNAS", "currency": "USD", "bar_policy": policy}
    tell(market.api, symbol, **facts)


def prints(market: Market, *rows: tuple[int, float, list[str]]) -> None:
    sent = [{"time_ns": at, "price": price, "volume": 10.0, "conditions": words} for at, price, words in rows]
    market.add("trades", "DVDN", sent)


def dividend(market: Market, amount: float = 1.0) -> None:
    ingest(
        market.api,
        "corporate_actions",
        "DVDN",
        [{"time_ns": EX_DATE, "kind": "dividend", "amount": amount, "currency": "USD"}],
    )


def response(market: Market, symbol: str = "DVDN", **asked: str) -> Any:
    query = {"start": "2025-01-01", "end": "2025-01-07", "adjustment": "all", "limit": "10000", **asked}
    found = market.api.get(f"/api/v1/market-data/equities/{symbol}/ohlcv", query)
    assert found.status_code == 200, found.content
    return found


def bars(market: Market, **asked: str) -> list[Row]:
    found: list[Row] = answer(response(market, **asked))["bars"]
    return found


@pytest.fixture(scope="module", params=["all", "us_equities"])
def paid(
    request, django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Market, float]]:
    """An instrument of a bar policy that paid a dividend, and the factor of its bars before."""
    path = tmp_path_factory.mktemp("paid") / "store"
    with shared_installation(django_db_blocker, path) as api:
        market = Market(api)
        told(market, "DVDN", request.param)
        prints(
            market,
            (BEFORE + OPEN_NS, 40.0, []),
            (BEFORE + LAST_NS, 20.0, []),
            (BEFORE + AUCTION_NS, 10.0, ["closing_print", "extended_hours"]),
            (BEFORE + LATE_NS, 80.0, ["extended_hours"]),
        )
        dividend(market)
        yield market, 1 - 1 / 10.0


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: "-".join(asked.values()))
def test_the_factor_is_the_same_for_every_query(paid: tuple[Market, float], asked: dict[str, str]):
    market, factor = paid
    assert bars(market, **asked)[0]["open"] == pytest.approx(40 * factor, rel=1e-12)


def test_without_an_exchange_it_is_the_last_close_of_the_date(empty_market: Market):
    prints(empty_market, (BEFORE + OPEN_NS, 40.0, []), (BEFORE + LATE_NS, 20.0, []))
    dividend(empty_market)
    for resolution in ("1m", "1d", "1w"):
        assert bars(empty_market, resolution=resolution)[0]["open"] == pytest.approx(38, rel=1e-12)


def test_an_action_at_an_instant_is_measured_by_the_session_before_it(empty_market: Market):
    told(empty_market, "DVDN")
    prints(
        empty_market,
        (BEFORE - 3 * DAY_NS + OPEN_NS, 10.0, []),  # the Friday before
        (BEFORE + OPEN_NS, 40.0, []),
        (BEFORE + LAST_NS, 20.0, []),
    )
    noon = {"time_ns": BEFORE + DAY_NS * 2 // 3, "kind": "dividend", "amount": 1.0, "currency": "USD"}
    ingest(empty_market.api, "corporate_actions", "DVDN", [noon])
    assert bars(empty_market, resolution="1h")[0]["open"] == pytest.approx(9, rel=1e-12)


def test_a_late_print_that_changes_the_close_changes_tags_before_it(empty_market: Market):
    told(empty_market, "DVDN")
    prints(empty_market, (BEFORE - 3 * DAY_NS + OPEN_NS, 40.0, []), (BEFORE + OPEN_NS, 20.0, []))
    dividend(empty_market)
    asked = {"end": "2025-01-04", "resolution": "1m"}
    first = response(empty_market, **asked)
    assert answer(first)["bars"][0]["open"] == pytest.approx(38, rel=1e-12)
    prints(empty_market, (BEFORE + LAST_NS, 10.0, []))
    second = response(empty_market, **asked)
    assert second["ETag"] != first["ETag"]
    assert answer(second)["bars"][0]["open"] == pytest.approx(36, rel=1e-12)


# AAPL was split in 2014 and 2020; IBM paid dividends alone.
FIRST_DATES = dict.fromkeys(["aapl", "ibm"], "2012-08-01" if SOAK else "2018-01-01")


def real_days(symbol: str) -> pd.DataFrame:
    """The vendor's daily bars by their midnight UTC, each with the factors that hold for it."""
    names = ["date", *BAR, "volume"]
    days = real_frame(f"equity/{symbol}_daily_trade.csv", names, parse_dates=["date"])
    days[BAR] /= PRICE_UNIT
    factors = real_frame(
        f"equity/{symbol}_factors.csv", ["until", "cash", "shares", "reference"], parse_dates=["until"]
    )
    days = pd.merge_asof(days, factors, left_on="date", right_on="until", direction="forward")
    days = days[days["date"] >= FIRST_DATES[symbol]].reset_index(drop=True)
    days["time_ns"] = days["date"].to_numpy().astype("M8[ns]").astype("int64")
    return days


def real_actions(days: pd.DataFrame) -> list[Row]:
    """The splits and dividends that take effect on dates whose factors are not those of the date before."""
    found: list[Row] = []
    for day, after in pairwise(days.itertuples()):
        if after.shares != day.shares:
            found.append({"time_ns": after.time_ns, "kind": "split", "ratio": after.shares / day.shares})
        elif after.cash != day.cash:
            amount = day.close * (1 - day.cash / after.cash)
            found.append({"time_ns": after.time_ns, "kind": "dividend", "amount": amount, "currency": "USD"})
    return found


def closes(market: Market, symbol: str, **asked: str) -> dict[str, float]:
    """The adjusted closes of all dates."""
    query = {"start": "1998-01-01", "resolution": "1d", "adjustment": "all", **asked}
    found = market.api.get(f"/api/v1/market-data/equities/{symbol}/ohlcv/stream", query)
    bars = [orjson.loads(line) for line in b"".join(found.streaming_content).splitlines()]
    return {bar["date"]: bar["close"] for bar in bars}


@pytest.mark.parametrize("symbol", FIRST_DATES)
def test_adjusted_closes_are_the_vendors_though_prints_follow_the_close(empty_market: Market, symbol: str):
    days, name = real_days(symbol), symbol.upper()
    actions = real_actions(days)
    assert len(actions) > 10
    told(empty_market, name)
    stored = days[["time_ns", *BAR, "volume"]].assign(resolution="1d").to_dict("records")
    for first in range(0, len(stored), 366):  # a batch touches at most so many dates
        ingest(empty_market.api, "bars", name, stored[first : first + 366])
    ingest(empty_market.api, "corporate_actions", name, actions)
    is_before = days["time_ns"].shift(-1).isin([action["time_ns"] for action in actions])
    late = [
        {"time_ns": day.time_ns + LATE_NS, "price": day.close * 2, "volume": 1.0}
        for day in days[is_before].itertuples()
    ]
    ingest(empty_market.api, "trades", name, late)
    expected = days["close"] * days["cash"] * days["shares"]
    for hours, last in (("regular", expected), ("all", expected * (1 + is_before))):
        wanted = dict(zip(days["date"].dt.strftime("%Y-%m-%d"), last, strict=True))
        assert closes(empty_market, name, hours=hours) == pytest.approx(wanted, rel=1e-9, abs=0)
