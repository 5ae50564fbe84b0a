"""Special sessions, in every store: what rows prove, what they do not, and what a declaration keeps."""

import datetime as dt
from collections.abc import Sequence
from unittest.mock import Mock

import numpy as np
import pytest

from calendars.schedule import SpecialSession
from store import instruments, special_sessions
from store.datasets import BARS, TRADES
from store.instruments import CRYPTO, Instrument
from store.market_store import MarketStore
from store.protocol import Amendment, Append
from store.special_sessions import sessions_of_exchange, unproved_dates
from store.timestamps import parse_timestamp
from tests.store.builders import Clock, Row, append_of, cancel, trade

SATURDAY = "2024-06-15"
LONDON = Instrument("LON", exchange="XLON")
PRICES = dict.fromkeys(("open", "high", "low", "close"), 10.0)


def bar(time: str, resolution: str = "1d", volume: float = 5.0) -> Row:
    return {"timestamp": parse_timestamp(time), "resolution": resolution, "volume": volume, **PRICES}


def bars(*rows: Row, symbol: str = "LON") -> Append:
    return append_of(BARS, *rows, symbol=symbol)


def trades(*times: str, symbol: str = "LON", day: str = SATURDAY) -> Append:
    return append_of(TRADES, *(trade(f"{day}T{time}Z") for time in times), symbol=symbol)


def session(day: str = SATURDAY, begin: str | None = None, end: str | None = None) -> SpecialSession:
    hours = (
        None if each is None else dt.datetime.fromisoformat(f"{day}T{each}+00:00") for each in (begin, end)
    )
    return SpecialSession(dt.date.fromisoformat(day), *hours)


def stored(store: MarketStore, *batches: Append) -> tuple[SpecialSession, ...]:
    for batch in batches:
        store.append(batch)
    return store.instrument("LON").special_sessions


@pytest.mark.parametrize(
    ("exchange", "day"),
    [
        ("XLON", "2024-06-15"),
        ("XLON", "2024-05-06"),
        ("XNYS", "2024-03-29"),
        ("XTKS", "2024-05-03"),
        ("XKRX", "2024-06-16"),
        ("XASX", "2024-06-15"),
        ("XCME", "2024-06-15"),
    ],
    ids=["Saturday", "bank holiday", "Good Friday", "Golden Week", "Sunday", "east of UTC", "futures"],
)
def test_a_daily_bar_proves_its_date(store: MarketStore, exchange: str, day: str):
    store.set_instrument(Instrument("LON", exchange=exchange))
    assert stored(store, bars(bar("2024-06-12"), bar(day), bar("2024-06-18"))) == (session(day),)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([bar("2024-06-14"), bar("2024-06-17")], ()),
        ([bar(SATURDAY, "1w"), bar("2024-06-01", "1M")], ()),
        ([bar(f"{SATURDAY}T10:00:00", "1h", 0.0)], ()),
        ([bar(f"{SATURDAY}T10:00:00", "30m")], ()),
        ([bar(f"{SATURDAY}T10:00:00", "1h")], (session(SATURDAY, "10:00", "11:00"),)),
        ([bar(f"{SATURDAY}T10:10:00", "1m"), bar(f"{SATURDAY}T11:29:00", "1m")], (session(SATURDAY, "10:00", "11:30"),)),
    ],
    ids=["trading dates", "longer bars", "no volume", "half an hour", "an hour", "minutes over an hour"],
)  # fmt: skip
def test_bars_of_other_lengths(store: MarketStore, rows: Sequence[Row], expected: tuple[SpecialSession, ...]):
    store.set_instrument(LONDON)
    assert stored(store, bars(*rows)) == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (("10:00:00", "10:59:00"), ()),
        (("10:00:00", "11:00:00"), (session(SATURDAY, "10:00", "11:15"),)),
        (("10:00:00.2", "10:59:59.8"), (session(SATURDAY, "10:00", "11:00"),)),
        (("10:20:00",), ()),
        (("00:30:00", "21:50:00"), (session(SATURDAY, "00:30", "22:00"),)),
    ],
    ids=["59 minutes", "60 minutes", "the whole of an hour", "one trade", "by local dates"],
)
def test_trades_over_an_hour_prove_their_date(
    store: MarketStore, times: Sequence[str], expected: tuple[SpecialSession, ...]
):
    store.set_instrument(LONDON)
    assert stored(store, trades(*times)) == expected


def test_batches_add_up_and_later_trades_widen_the_hours(store: MarketStore):
    store.set_instrument(LONDON)
    assert stored(store, trades("10:05:00"), trades("11:04:00")) == ()
    assert stored(store, trades("11:05:00")) == (session(SATURDAY, "10:00", "11:15"),)
    declared = len(store.declarations("LON"))
    assert stored(store, trades("11:14:59.9")) == (session(SATURDAY, "10:00", "11:15"),)
    assert len(store.declarations("LON")) == declared
    assert stored(store, trades("12:31:00")) == (session(SATURDAY, "10:00", "12:45"),)


@pytest.mark.parametrize("is_first", [False, True])
def test_hours_of_trades_replace_usual_ones(store: MarketStore, is_first: bool):
    store.set_instrument(LONDON)
    batches = [bars(bar(SATURDAY)), trades("17:00:00", "18:29:00")]
    assert stored(store, *(batches if is_first else batches[::-1])) == (session(SATURDAY, "17:00", "18:30"),)


def test_evening_sessions_prove_nothing_of_the_date_on_which_they_open(store: MarketStore):
    """Futures open on Sunday for Monday; a daily bar of UTC has a Sunday, too."""
    store.set_instrument(Instrument("LON", instrument_class="future", exchange="XCME"))
    assert stored(store, trades("22:00:00", "23:59:00", day="2024-06-16"), bars(bar("2024-06-16"))) == ()


def test_without_a_calendar_there_are_no_closed_dates(store: MarketStore):
    store.set_instrument(Instrument("LON", instrument_class=CRYPTO, exchange="XLON"))
    assert stored(store, bars(bar(SATURDAY)), trades("10:00:00", "12:00:00")) == ()
    assert stored(store, bars(bar("2024-06-16", volume=1.0), symbol="OTHER")) == ()


def test_an_exchange_that_is_declared_later_finds_the_proof_in_stored_rows(store: MarketStore):
    kept = bars(bar("2024-06-14"), bar(SATURDAY), bar("2024-06-17"))
    sunday = trades("09:00:00", "09:30:00", "12:00:00", day="2024-06-16")
    few = trades("09:00:00", "09:30:00", day="2024-06-22")
    assert stored(store, kept, sunday, few) == ()
    store.set_instrument(LONDON)
    expected = (session(SATURDAY), session("2024-06-16", "09:00", "12:15"))
    assert store.instrument("LON").special_sessions == expected
    store.set_instrument(Instrument("LON", exchange="XLON", currency="GBP"))
    assert store.instrument("LON").special_sessions == expected


def test_as_of_an_instant_before_the_proof_the_date_is_closed(store: MarketStore, clock: Clock):
    store.set_instrument(LONDON)
    before, clock.now = clock.now, clock.now + 10**9
    assert stored(store, bars(bar(SATURDAY))) == (session(),)
    assert store.instrument("LON", as_of_ns=before).special_sessions == ()


def test_an_exchange_has_the_sessions_of_two_instruments(store: MarketStore):
    for name, exchange in (("LON", "XLON"), ("LSE", "XLON"), ("PAR", "XPAR")):
        store.set_instrument(Instrument(name, exchange=exchange))
    stored(store, bars(bar(SATURDAY)), bars(bar(SATURDAY), symbol="PAR"))
    assert sessions_of_exchange(store, "XLON") == ()
    stored(store, trades("08:00:00", "10:00:00", symbol="LSE"))
    assert sessions_of_exchange(store, "XLON") == (session(SATURDAY, "08:00", "10:15"),)
    assert store.instrument("PAR").special_sessions == (session(),)


def test_few_trades_of_a_closed_date_are_counted_before_they_are_stored(store: MarketStore):
    store.set_instrument(LONDON)
    few = (
        trades("09:00:00", "09:59:00"),
        trades("09:00:00", "11:00:00", day="2024-06-16"),
        trades("09:00:00", day="2024-06-14"),
    )
    times = np.concatenate([batch.rows.column(0).to_numpy() for batch in few])
    assert unproved_dates(store, TRADES, "LON", times) == [(dt.date(2024, 6, 15), 2)]
    assert unproved_dates(store, BARS, "LON", times) == unproved_dates(store, TRADES, "NEW", times) == []


def test_an_instrument_has_at_most_a_thousand_sessions(
    store: MarketStore, clock: Clock, caplog: pytest.LogCaptureFixture
):
    """A batch is one declaration, however many dates it proves. The hours of known dates may still widen."""
    store.set_instrument(LONDON)
    first = np.datetime64("2000-01-01")  # a Saturday
    saturdays = [str(first + np.timedelta64(7 * number, "D")) for number in range(1_005)]
    for part in (saturdays[:999], saturdays[999:], saturdays[:2]):
        stored(store, bars(*map(bar, part)))
    found = store.instrument("LON").special_sessions
    assert (len(found), found[-1]) == (1_000, session(saturdays[999]))
    assert len(store.declarations("LON")) == 3
    assert [record.message[:27] for record in caplog.records] == ["LON has rows on 1000 dates "]
    widened = stored(store, trades("08:00:00", "09:30:00", day=saturdays[0]))
    assert (len(widened), widened[0]) == (1_000, session(saturdays[0], "08:00", "09:45"))
    last_two = [declared.special_sessions[-1] for _, declared in store.declarations("LON")[-2:]]
    assert last_two[0] is last_two[1]


def test_a_session_is_taken_back_by_cancelled_rows_and_another_calendar(store: MarketStore):
    store.set_instrument(LONDON)
    wrong, right = bar(SATURDAY), bar("2024-06-22")
    assert stored(store, bars(wrong, right)) == (session(), session("2024-06-22"))
    store.correct(Amendment(BARS, "LON", (cancel(wrong["timestamp"], resolution="1d"),), "key:1"))
    for exchange in ("XPAR", "XLON"):
        store.set_instrument(Instrument("LON", exchange=exchange))
    assert store.instrument("LON").special_sessions == (session("2024-06-22"),)


def test_sessions_of_a_wrong_calendar_go_with_it(store: MarketStore):
    """Sunday is a trading date of Tel Aviv."""
    store.set_instrument(LONDON)
    assert len(stored(store, bars(bar(SATURDAY), bar("2024-06-16")))) == 2
    store.set_instrument(Instrument("LON", exchange="XTAE"))
    assert store.instrument("LON").special_sessions == (session(),)


def test_a_date_that_is_yet_to_come_is_no_session(store: MarketStore, clock: Clock):
    clock.now = parse_timestamp("2024-06-14T22:59:59")  # 23:59:59 in London
    store.set_instrument(LONDON)
    assert stored(store, bars(bar(SATURDAY)), trades("08:00:00", "10:00:00")) == ()
    clock.now = parse_timestamp("2024-06-14T23:00:00")
    assert stored(store, trades("08:00:00", "10:30:00")) == (session(SATURDAY, "08:00", "10:45"),)


def test_no_more_dates_are_read_than_may_be_sessions(store: MarketStore, monkeypatch: pytest.MonkeyPatch):
    stored(store, bars(*(bar(f"2024-06-{day:02}") for day in (1, 8, 15, 22, 29))))
    outer_rows = Mock(side_effect=special_sessions._outer_rows)
    monkeypatch.setattr(special_sessions, "_outer_rows", outer_rows)
    for module in (instruments, special_sessions):
        monkeypatch.setattr(module, "SPECIAL_SESSIONS_LIMIT", 2)
    store.set_instrument(LONDON)
    assert store.instrument("LON").special_sessions == (session("2024-06-01"), session("2024-06-08"))
    assert outer_rows.call_count == 4  # both, the Sunday between, and the next date
