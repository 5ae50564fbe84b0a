"""The made-up trades: that they look like real ones, keep to the exchange's hours, and can be made again."""

import datetime as dt
import io
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import time_machine
from django.core.management import call_command

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME, CommitId
from tests.store_settings import stores_at
from trades.management.commands.sample import store_received
from trades.sample import (
    COIN,
    EQUITIES,
    FUND,
    MAX_LATENCY_NS,
    TradingSession,
    bar_rows,
    sample_day,
    trading_sessions,
)
from trades.stores import market_store

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 10**9
MINUTE = 60 * SECOND


def new_york(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def nanoseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp()) * SECOND


@cache
def session_of(date: str) -> TradingSession:
    (session,) = trading_sessions(now=new_york(f"{date}T23:00"), days=1, symbol=FUND)
    assert session.date.isoformat() == date
    return session


def day_of(date: str, symbol: str = "DEMOA") -> pa.RecordBatch:
    return sample_day(symbol, session_of(date)).trades


@pytest.fixture(scope="module")
def ordinary() -> list[pa.RecordBatch]:
    """Four ordinary days of three symbols."""
    dates = ("2025-11-11", "2025-11-12", "2025-11-13", "2025-11-14")
    return [day_of(date, symbol) for symbol in ("DEMOA", "DEMOB", "DEMOC") for date in dates]


@pytest.mark.parametrize(
    ("now", "days", "expected"),
    [
        pytest.param("2025-11-19T12:00", 2, ["2025-11-18", "2025-11-19"], id="midday"),
        pytest.param("2025-11-19T03:59", 2, ["2025-11-17", "2025-11-18"], id="before-pre-market"),
        pytest.param("2025-11-19T04:00", 1, ["2025-11-19"], id="as-pre-market-begins"),
        pytest.param("2025-01-10T12:00", 3, ["2025-01-07", "2025-01-08", "2025-01-10"], id="day-of-mourning"),
        pytest.param("2025-11-19T20:30", 1, ["2025-11-19"], id="the-next-date-in-utc"),
    ],
)
def test_the_last_trading_days_that_have_begun_are_chosen(now, days, expected):
    sessions = trading_sessions(now=new_york(now), days=days, symbol=FUND)
    assert [session.date.isoformat() for session in sessions] == expected


@pytest.mark.parametrize(
    ("date", "hours"),
    [
        pytest.param("2025-11-19", ("04:00", "09:30", "16:00", "20:00"), id="winter"),
        pytest.param("2025-07-01", ("04:00", "09:30", "16:00", "20:00"), id="summer"),
        pytest.param("2025-11-28", ("04:00", "09:30", "13:00", "17:00"), id="early-close"),
    ],
)
def test_a_sessions_bounds_are_new_yorks(date, hours):
    session = session_of(date)
    bounds = (session.begins, session.opens, session.closes, session.ends)
    assert bounds == tuple(nanoseconds(new_york(f"{date}T{hour}")) for hour in hours)


def test_every_print_lies_inside_its_session(ordinary):
    for day in (*ordinary, day_of("2025-11-28")):
        time_ns = day["timestamp"].to_numpy()
        session = session_of(dt.datetime.fromtimestamp(time_ns[0] / SECOND, NEW_YORK).date().isoformat())
        assert session.begins < time_ns.min() < session.opens
        assert session.closes < time_ns.max() < session.ends
        extended = np.array(day["conditions"].to_pylist()) == "extended_hours"
        assert np.array_equal(extended, (time_ns < session.opens) | (time_ns >= session.closes))
        assert np.array_equal(day["volume"].to_numpy(), np.floor(day["volume"].to_numpy()))


def test_rows_come_in_the_order_of_arrival(ordinary):
    for day in ordinary:
        time_ns, received_ns = day["timestamp"].to_numpy(), day["received_at"].to_numpy()
        assert (np.diff(received_ns) >= 0).all()
        assert (np.diff(time_ns) >= 0).all()
        assert (time_ns < received_ns).all()
        assert (received_ns <= np.maximum.accumulate(time_ns + MAX_LATENCY_NS)).all()
        assert day["sequence"].to_pylist() == list(range(1, len(day) + 1))
        assert day["trade_id"][122].as_py().endswith("-000123")
        assert len(set(day["trade_id"].to_pylist())) == len(day)


def test_a_day_is_the_one_that_earlier_runs_stored():
    """Ids are kept by the store: a day that came out otherwise would be refused as a conflict."""
    day = day_of("2025-11-19")
    found = (len(day), day["price"][0].as_py(), day["price"][-1].as_py(), pc.sum(day["volume"]).as_py())
    assert found == (5252, 265.76, 263.64, 1_461_639)
    assert day_of("2025-11-20")["price"][:100] != day["price"][:100]
    assert day_of("2025-11-19", "DEMOB")["price"][:100] != day["price"][:100]


def test_a_coins_price_goes_on_over_midnight():
    sessions = trading_sessions(now=dt.datetime(2025, 11, 22, tzinfo=dt.UTC), days=3, symbol=COIN)
    assert [session.date.day for session in sessions] == [20, 21, 22]
    days = [sample_day(COIN, session).trades for session in sessions]
    for before, after in pairwise(days):
        assert abs(after["price"][0].as_py() / before["price"][-1].as_py() - 1) < 0.01
        assert before["timestamp"][-1].as_py() < after["timestamp"][0].as_py()
    for day in days:
        assert 85_000 < len(day) < 88_000
        price = day["price"].to_numpy()
        assert 0.01 < np.log(price.max() / price.min()) < 0.3
        # A tenth of a print is at least an order of two coins.
        assert (day["volume"].to_numpy() >= 20).mean() > 0.99


def test_bars_of_minutes_are_of_the_same_walk_as_the_days_bar():
    (session,) = trading_sessions(now=new_york("2025-11-19T12:00"), days=1, symbol=COIN)
    minutes = bar_rows(COIN, session, is_daily=False)
    (day,) = bar_rows(COIN, session, is_daily=True).to_pylist()
    assert (minutes["open"][0].as_py(), minutes["close"][-1].as_py()) == (day["open"], day["close"])
    assert pc.max(minutes["high"]).as_py() == day["high"]
    assert pc.sum(minutes["trade_count"]).as_py() == day["trade_count"]


@pytest.fixture
def _store(settings, tmp_path, db):
    """An empty store of the test's own."""
    settings.MARKET_STORES = stores_at(tmp_path)


def run_sample(now: str, *symbols: str, days: int = 1, history: int = 0) -> list[str]:
    """The lines that the command prints at a moment of New York."""
    printed = io.StringIO()
    with time_machine.travel(new_york(now), tick=False):
        call_command("sample", days=days, history=history, symbols=symbols or ["DEMOA"], stdout=printed)
    return printed.getvalue().splitlines()


def stored(dataset: Dataset, symbol: str = "DEMOA") -> pa.Table:
    return market_store().log(dataset, symbol).at().rows(ALL_TIME)


def head(dataset: Dataset, symbol: str = "DEMOA") -> CommitId:
    return market_store().log(dataset, symbol).head


def commits(symbol: str = "DEMOA") -> list[CommitId]:
    return [head(dataset, symbol) for dataset in (TRADES, QUOTES, BARS)]


@pytest.mark.usefixtures("_store")
def test_days_are_stored_as_they_were_made_and_a_wrong_print_is_corrected():
    run_sample("2025-11-19T23:00")
    made, rows = day_of("2025-11-19"), stored(TRADES).sort_by("sequence")
    first = market_store().log(TRADES, "DEMOA").at(1).rows(ALL_TIME).sort_by("sequence")
    for name in ("timestamp", "price", "trade_id", "conditions"):
        assert first[name].to_pylist() == made[name].to_pylist()
    wrong, price = first["price"].to_numpy(), rows["price"].to_numpy()
    (row,) = np.flatnonzero(wrong != price)
    assert wrong[row] == round(price[row] * 1.05, 2)


@pytest.mark.usefixtures("_store")
def test_each_trade_is_at_a_side_of_its_quote():
    run_sample("2025-11-19T23:00")
    quotes, price = stored(QUOTES), stored(TRADES).sort_by("sequence")["price"].to_numpy()
    bid, ask = quotes["bid"].to_numpy(), quotes["ask"].to_numpy()
    assert ((bid == price) ^ (ask == price)).all()
    assert (bid < ask).all()


@pytest.mark.usefixtures("_store")
def test_its_symbols_are_equities_of_nasdaq_with_a_history_a_split_and_a_gap(api):
    run_sample("2025-11-20T12:00", "DEMOA", "DEMOC", days=2, history=150)
    shown = api.get("/api/v1/instruments/DEMOA").json()
    assert (shown["class"], shown["exchange"], shown["bar_policy"]) == ("equity", "XNAS", "us_equities")
    path = "/api/v1/market-data/equities/DEMOA/ohlcv"
    bars = {
        name: api.get(path, {"last": "200", "end": "2025-11-20", "adjustment": name}).json()["bars"]
        for name in ("raw", "split")
    }
    steps = {
        name: [abs(b["open"] / a["close"] - 1) for a, b in pairwise(each)] for name, each in bars.items()
    }
    assert len(bars["raw"]) == 151
    assert bars["raw"][-1]["date"] == "2025-11-19"
    assert sorted(step > 0.4 for step in steps["raw"])[-2:] == [False, True]
    assert max(steps["split"]) < 0.05
    gaps = api.get(
        "/api/v1/market-data/equities/DEMOC/gaps",
        {"start": "2025-11-19T17:55:00Z", "end": "2025-11-19T18:35:00Z", "resolution": "1m"},
    ).json()["gaps"]
    assert [(gap["start"], gap["end"]) for gap in gaps] == [("2025-11-19T18:00:00Z", "2025-11-19T18:30:00Z")]


@pytest.mark.usefixtures("_store")
def test_dividends_are_paid_in_the_history():
    run_sample("2025-11-19T23:00", "DEMOB", history=100)
    assert stored(CORPORATE_ACTIONS, "DEMOB")["kind"].to_pylist() == ["dividend", "dividend"]


@pytest.mark.usefixtures("_store")
def test_the_coin_has_bars_of_days_and_minutes_and_trades_of_today():
    run_sample("2025-11-18T19:10", COIN, history=50)
    bars, trades = stored(BARS, COIN), stored(TRADES, COIN)
    kinds = Counter(bars["resolution"].to_pylist())
    assert (kinds["1d"], kinds["1m"]) == (12, 60 * 1440)
    midnight_ns = nanoseconds(new_york("2025-11-18T19:00"))
    assert pc.max(bars["timestamp"]).as_py() == midnight_ns - MINUTE
    assert 500 < len(trades) < 700
    assert pc.min(trades["timestamp"]).as_py() > midnight_ns


@pytest.mark.usefixtures("_store")
def test_the_fund_has_bars_only():
    run_sample("2025-11-19T19:00", FUND, days=2, history=3)
    newest_ns = pc.max(stored(BARS, FUND)["timestamp"]).as_py()
    # The day that is not over has none.
    assert nanoseconds(new_york("2025-11-18T19:00")) < newest_ns < nanoseconds(new_york("2025-11-18T20:00"))
    assert FUND not in market_store().symbols(TRADES)


@pytest.mark.usefixtures("_store")
def test_what_somebody_has_declared_stays():
    declared = Instrument("DEMOA", exchange="XNYS", bar_policy="all")
    market_store().set_instruments([declared])
    run_sample("2025-11-19T23:00")
    assert market_store().instrument("DEMOA") == declared


@pytest.mark.usefixtures("_store")
def test_a_second_run_stores_nothing_and_makes_no_commit():
    run_sample("2025-11-19T23:00", days=2, history=3)
    before = commits()
    assert run_sample("2025-11-19T23:30", days=2, history=3) == ["  DEMOA: 0 new rows"]
    assert commits() == before


@pytest.mark.usefixtures("_store")
def test_a_later_run_adds_what_has_been_reported_since():
    day = day_of("2025-11-19")
    now = dt.datetime.fromtimestamp(day["timestamp"][1_000].as_py() // SECOND, NEW_YORK)
    run_sample(now.replace(tzinfo=None).isoformat(), history=2)
    assert len(stored(TRADES)) == (day["received_at"].to_numpy() <= now.timestamp() * SECOND).sum()
    run_sample("2025-11-19T23:00", history=2)
    assert len(stored(TRADES)) == len(day)
    # Of a day that was never posted, later runs store bars.
    run_sample("2025-11-21T12:00", history=2)
    assert pc.max(stored(BARS)["timestamp"]).as_py() > nanoseconds(new_york("2025-11-20T15:59"))


@pytest.mark.usefixtures("_store")
@pytest.mark.parametrize(
    ("begin", "traded"),
    [("2025-11-19T09:40", {*EQUITIES, COIN}), ("2025-11-23T12:00", {COIN}), ("2025-11-27T12:00", {COIN})],
    ids=["regular hours", "sunday", "thanksgiving"],
)
def test_rows_are_stored_as_they_come_each_once(begin: str, traded: set[str]):
    """Also those after a failure, when the same ones are stored again."""
    begin_ns = nanoseconds(new_york(begin))
    for step in (0, 1, 1, 2, 5):
        store_received(begin_ns, begin_ns + step * MINUTE)
    assert set(market_store().symbols(TRADES)) == set(market_store().symbols(QUOTES)) == traded
    rows = stored(TRADES, COIN).sort_by("sequence")
    assert np.diff(rows["sequence"].to_numpy()).tolist() == [1] * (len(rows) - 1)
    assert begin_ns < pc.min(rows["received_at"]).as_py()
    assert len(stored(QUOTES, COIN)) == len(rows) > 200
    assert market_store().log(TRADES, COIN).at().completeness().complete_until_ns > begin_ns + 4 * MINUTE


@pytest.mark.usefixtures("_store")
def test_a_wrong_print_is_corrected_ten_seconds_later():
    day = sample_day("DEMOA", session_of("2025-11-19"))
    assert day.correction is not None
    begin_ns, prices = day.corrected_at_ns - 15 * SECOND, []
    for second in (9, 14, 15, 16):
        store_received(begin_ns, begin_ns + second * SECOND)
        rows = stored(TRADES).to_pylist()
        prices += [each["price"] for each in rows if each["trade_id"] == day.correction.named["trade_id"]]
    right: Any = day.correction.new["price"]
    assert prices == [round(right * 1.05, 2)] * 2 + [right] * 2
