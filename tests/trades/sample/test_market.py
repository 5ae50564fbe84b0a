"""The made-up trades: that they look like real ones, keep to the exchange's hours, and can be made again."""

import datetime as dt
import io
from collections import Counter
from dataclasses import fields
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import time_machine
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME, CommitId
from tests.chance import examples
from tests.store_settings import stores_at
from trades.sample.market import (
    COIN,
    FUND,
    SEED,
    SymbolDay,
    TradingSession,
    coin_day,
    symbol_day,
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
    (session,) = trading_sessions(now=new_york(f"{date}T23:00"), days=1)
    assert session.date.isoformat() == date
    return session


def day_of(date: str, *, seed: int = 7, symbol: str = "DEMOA") -> SymbolDay:
    return symbol_day(seed=seed, symbol=symbol, session=session_of(date))


def with_condition(day: SymbolDay, word: str) -> np.ndarray:
    return np.array([word in conditions for conditions in day.conditions])


def same(one: SymbolDay, other: SymbolDay) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        if isinstance(getattr(one, field.name), np.ndarray)
        else getattr(one, field.name) == getattr(other, field.name)
        for field in fields(SymbolDay)
    )


@pytest.fixture(scope="module")
def ordinary() -> list[SymbolDay]:
    """Four ordinary days of three symbols."""
    sessions = trading_sessions(now=new_york("2025-11-14T23:00"), days=4)
    return [
        symbol_day(seed=7, symbol=symbol, session=session)
        for symbol in ("DEMOA", "DEMOB", "DEMOC")
        for session in sessions
    ]


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
    sessions = trading_sessions(now=new_york(now), days=days)
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
    early = day_of("2025-11-28")
    for day in (*ordinary, early):
        session = session_of(day.date.isoformat())
        extended, closing = with_condition(day, "extended_hours"), with_condition(day, "closing_print")
        regular = day.time_ns[~extended & ~closing]
        assert session.opens <= regular.min()
        assert regular.max() < session.closes
        assert session.closes <= day.time_ns[closing].max() < session.closes + 3 * SECOND
        outside = day.time_ns[extended]
        assert ((session.begins <= outside) & (outside < session.ends)).all()
        assert ((outside < session.opens) | (outside >= session.closes)).all()
        assert (outside < session.opens).any()
        assert (outside >= session.closes).any()


def test_every_print_has_its_conditions(ordinary):
    for day in ordinary:
        assert all(day.conditions)
        opening, closing = with_condition(day, "opening_print"), with_condition(day, "closing_print")
        assert opening.sum() == closing.sum() == 1
        assert min(day.volume[opening][0], day.volume[closing][0]) >= 15_000
        assert np.array_equal(with_condition(day, "odd_lot"), day.volume < 100)
        assert np.array_equal(day.volume, np.floor(day.volume))
        assert day.volume.min() >= 1


def test_rows_come_in_the_order_of_arrival(ordinary):
    for day in ordinary:
        assert (np.diff(day.received_at_ns) >= 0).all()
        assert (np.diff(day.time_ns) >= 0).all()
        assert (day.time_ns < day.received_at_ns).all()
        assert np.array_equal(day.sequence, np.arange(1, len(day) + 1))
        assert day.trade_id[122] == f"{day.symbol}-{day.date:%Y%m%d}-000123"
        assert len(set(day.trade_id)) == len(day)


@pytest.mark.parametrize(
    ("seed", "symbol", "date"),
    [
        pytest.param(8, "DEMOA", "2025-11-19", id="seed"),
        pytest.param(7, "DEMOB", "2025-11-19", id="symbol"),
        pytest.param(7, "DEMOA", "2025-11-20", id="date"),
    ],
)
def test_a_day_is_the_same_again_and_another_for_other_arguments(seed, symbol, date):
    first = day_of("2025-11-19")
    assert same(first, day_of("2025-11-19"))
    other = day_of(date, seed=seed, symbol=symbol)
    assert not np.array_equal(first.price[:100], other.price[:100])
    assert not np.array_equal(
        first.received_at_ns[:100] % (24 * 60 * MINUTE), other.received_at_ns[:100] % (24 * 60 * MINUTE)
    )


def test_a_day_is_the_one_that_earlier_runs_stored():
    """Ids are kept by the store: a day that came out otherwise would be refused as a conflict."""
    day = day_of("2025-11-19")
    found = (len(day), float(day.price[0]), float(day.price[-1]), int(day.volume.sum()))
    assert found == (5194, 265.7, 263.64, 766_425)


def test_a_coins_price_goes_on_over_midnight():
    days = [coin_day(seed=SEED, symbol=COIN, date=dt.date(2025, 11, day)) for day in (20, 21, 22)]
    for before, after in pairwise(days):
        assert abs(after.price[0] / before.price[-1] - 1) < 0.01
        assert before.time_ns[-1] < after.time_ns[0]
    for day in days:
        assert 85_000 < len(day) < 88_000
        assert (np.diff(day.received_at_ns) >= 0).all()
        assert 0.01 < np.log(day.price.max() / day.price.min()) < 0.3
        # A tenth of a print is at least an order of two coins.
        assert (day.volume >= 20).mean() > 0.99


@settings(max_examples=examples(25), deadline=None)
@given(minutes=st.integers(-10, 16 * 60 + 10))
def test_what_is_reported_by_a_moment_is_how_the_day_begins(minutes):
    session, whole = session_of("2025-11-19"), day_of("2025-11-19")
    now_ns = session.begins + minutes * MINUTE
    part = whole.reported_by(now_ns)
    assert len(part) == int((whole.received_at_ns <= now_ns).sum())
    assert part.trade_id == whole.trade_id[: len(part)]
    assert {len(getattr(part, field.name)) for field in fields(SymbolDay)[2:]} == {len(part)}


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
def test_days_are_stored_as_they_were_made_but_for_a_wrong_print_that_is_corrected():
    run_sample("2025-11-19T23:00")
    day, rows = day_of("2025-11-19"), stored(TRADES).sort_by("sequence")
    assert rows["price"].to_pylist() == day.price.tolist()
    assert rows["timestamp"].to_pylist() == day.time_ns.tolist()
    assert rows["trade_id"].to_pylist() == day.trade_id
    first = market_store().log(TRADES, "DEMOA").at(1).rows(ALL_TIME).sort_by("sequence")
    (wrong,) = np.flatnonzero(first["price"].to_numpy() != day.price)
    assert first["price"][wrong].as_py() == round(day.price[wrong] * 1.05, 2)


@pytest.mark.usefixtures("_store")
def test_each_trade_is_at_a_side_of_its_quote():
    run_sample("2025-11-19T23:00", "DEMOB")
    quotes, price = stored(QUOTES, "DEMOB"), day_of("2025-11-19", symbol="DEMOB").price
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
    now = dt.datetime.fromtimestamp(day.time_ns[1_000] // SECOND, NEW_YORK)
    run_sample(now.replace(tzinfo=None).isoformat(), history=2)
    assert len(stored(TRADES)) == len(day.reported_by(int(now.timestamp() * SECOND)))
    run_sample("2025-11-19T23:00", history=2)
    assert len(stored(TRADES)) == len(day)
    # Of a day that was never posted, later runs store bars.
    run_sample("2025-11-21T12:00", history=2)
    assert pc.max(stored(BARS)["timestamp"]).as_py() > nanoseconds(new_york("2025-11-20T15:59"))


@pytest.mark.usefixtures("_store")
def test_nothing_is_stored_before_the_first_print_of_the_day():
    assert run_sample("2025-11-19T04:00") == ["  DEMOA: 0 new rows"]
    assert market_store().symbols(TRADES) == []


@pytest.mark.usefixtures("_store")
def test_the_sample_of_another_release_is_refused_and_changes_nothing(api):
    row = {"timestamp": "2025-11-19T15:00:00Z", "symbol": "DEMOA", "price": 1, "volume": 1}
    api.ingest(row | {"trade_id": "DEMOA-20251119-000001", "exchange": day_of("2025-11-19").exchange[0]})
    before = head(TRADES)
    with pytest.raises(CommandError, match=r"DEMOA: .* another release"):
        run_sample("2025-11-19T23:00")
    assert head(TRADES) == before


@pytest.mark.usefixtures("_store")
@pytest.mark.parametrize("arguments", [{"days": 0}, {"days": 2601}, {"history": -1}])
def test_wrong_arguments_are_refused_before_anything_is_stored(arguments):
    with pytest.raises(CommandError, match="--days is 1 to 2600, --history 0 to 2600"):
        run_sample("2025-11-19T23:00", **arguments)
    assert market_store().symbols(TRADES) == []
