"""The made-up trades: that they look like real ones, keep to the exchange's hours, and can be made again."""

import datetime as dt
import io
from dataclasses import fields
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import time_machine
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME, CommitId
from tests.chance import examples
from tests.store_settings import stores_at
from trades.sample.market import SymbolDay, TradingSession, symbol_day, trading_sessions
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


def run_sample(now: str, *arguments: str) -> list[str]:
    """The lines that the command prints at a moment of New York."""
    printed = io.StringIO()
    with time_machine.travel(new_york(now), tick=False):
        call_command("sample", *arguments, stdout=printed)
    return printed.getvalue().splitlines()


def stored(symbol: str = "DEMOA") -> pa.Table:
    return market_store().log(TRADES, symbol).at().rows(ALL_TIME).sort_by("sequence")


def head(symbol: str = "DEMOA") -> CommitId:
    return market_store().log(TRADES, symbol).head


def assert_holds(table: pa.Table, day: SymbolDay) -> None:
    """A store's rows, by sequence, are exactly a day's."""
    assert table["timestamp"].to_pylist() == day.time_ns.tolist()
    assert table["price"].to_pylist() == day.price.tolist()
    assert table["volume"].to_pylist() == day.volume.tolist()
    assert table["trade_id"].to_pylist() == day.trade_id
    assert table["sequence"].to_pylist() == day.sequence.tolist()
    assert table["exchange"].to_pylist() == day.exchange
    assert table["conditions"].to_pylist() == [";".join(words) for words in day.conditions]
    assert table["received_at"].to_pylist() == day.received_at_ns.tolist()


@pytest.mark.usefixtures("_store")
def test_the_command_stores_whole_days_of_each_symbol_as_they_were_made():
    lines = run_sample("2025-11-19T23:00", "--days", "1")
    days = {symbol: day_of("2025-11-19", symbol=symbol) for symbol in ("DEMOA", "DEMOB", "DEMOC")}
    assert lines == [f"{symbol}: {len(day)} stored, 0 already there" for symbol, day in days.items()]
    for symbol, day in days.items():
        assert_holds(stored(symbol), day)


@pytest.mark.usefixtures("_store")
def test_its_symbols_are_equities_of_nasdaq_whose_days_are_trading_dates(api):
    run_sample("2025-11-22T12:00", "--days", "3")
    shown = api.get("/api/v1/instruments/DEMOA").json()
    assert (shown["class"], shown["exchange"], shown["bar_policy"]) == ("equity", "XNAS", "us_equities")
    path = "/api/v1/market-data/equities/DEMOA/ohlcv"
    bars = api.get(path, {"last": "5", "end": "2025-11-23"}).json()["bars"]
    # The prints after the close of a Friday are of Saturday in UTC.
    assert [bar["date"] for bar in bars] == ["2025-11-19", "2025-11-20", "2025-11-21"]


@pytest.mark.usefixtures("_store")
def test_what_somebody_has_declared_stays():
    declared = Instrument("DEMOA", exchange="XNYS", bar_policy="all")
    market_store().set_instruments([declared])
    run_sample("2025-11-19T23:00", "--days", "1", "--symbols", "DEMOA")
    assert market_store().instrument("DEMOA") == declared


@pytest.mark.usefixtures("_store")
def test_a_sample_that_was_stored_without_a_declaration_gets_one(monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("trades.management.commands.sample._declare", lambda symbol: None)
        run_sample("2025-11-18T23:00", "--days", "1", "--symbols", "DEMOA")
    assert market_store().instrument("DEMOA").exchange is None
    run_sample("2025-11-19T23:00", "--days", "2", "--symbols", "DEMOA")
    assert market_store().instrument("DEMOA").exchange == "XNAS"
    assert len(stored()) == len(day_of("2025-11-18")) + len(day_of("2025-11-19"))


@pytest.mark.usefixtures("_store")
def test_a_second_run_stores_nothing_and_makes_no_commit():
    arguments = ("--days", "2", "--symbols", "demoa", "DEMOA")
    run_sample("2025-11-19T23:00", *arguments)
    before = head()
    count = len(day_of("2025-11-18")) + len(day_of("2025-11-19"))
    assert run_sample("2025-11-19T23:30", *arguments) == [f"DEMOA: 0 stored, {count} already there"]
    assert head() == before


@pytest.mark.usefixtures("_store")
def test_a_later_run_adds_what_has_been_reported_since():
    arguments = ("--days", "1", "--symbols", "DEMOA")
    day = day_of("2025-11-19")
    now = dt.datetime.fromtimestamp(day.time_ns[1_000] // SECOND, NEW_YORK)
    moment = now.replace(tzinfo=None).isoformat()
    run_sample(moment, *arguments)
    part = stored()
    assert 0 < len(part) < len(day)
    assert_holds(part, day.reported_by(int(now.timestamp() * SECOND)))
    missing = len(day) - len(part)
    assert run_sample("2025-11-19T23:00", *arguments) == [
        f"DEMOA: {missing} stored, {len(part)} already there"
    ]
    assert_holds(stored(), day)


@pytest.mark.usefixtures("_store")
def test_nothing_is_stored_before_the_first_print_of_the_day():
    lines = run_sample("2025-11-19T04:00", "--days", "1", "--symbols", "DEMOA")
    assert lines == ["DEMOA: 0 stored, 0 already there"]
    assert market_store().symbols(TRADES) == []


@pytest.mark.usefixtures("_store")
def test_the_sample_of_another_seed_is_refused_and_changes_nothing():
    run_sample("2025-11-19T23:00", "--days", "1", "--symbols", "DEMOA")
    before = head()
    with pytest.raises(CommandError, match=r"DEMOA: .* another --seed or another release is stored"):
        run_sample("2025-11-19T23:00", "--days", "1", "--symbols", "DEMOA", "--seed", "8")
    assert head() == before


@pytest.mark.usefixtures("_store")
def test_a_symbol_with_a_space_is_stored():
    (line,) = run_sample("2025-11-19T23:00", "--days", "1", "--symbols", "demo a")
    assert line.startswith("DEMO A: ")
    assert stored("DEMO A")["trade_id"][0].as_py() == "DEMO_A-20251119-000001"


@pytest.mark.usefixtures("_store")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--days", "0"], "--days is 1 to 2600", id="no-days"),
        pytest.param(["--days", "2601"], "--days is 1 to 2600", id="too-many-days"),
        pytest.param(["--symbols", "DEMOA", "../x"], "--symbols: ", id="not-a-symbol"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_stored(arguments, message):
    with pytest.raises(CommandError, match=message):
        run_sample("2025-11-19T23:00", *arguments)
    assert market_store().symbols(TRADES) == []
