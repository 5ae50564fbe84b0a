"""The logs that the engine follows, as one sequence that can be resumed after every row."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.exceptions import StoreBusy
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Append, Fill, Window
from store.timestamps import SECOND_NS
from store.walk import BEGINNING, LogPosition
from tests.chance import SOAK
from tests.memory_store import MemoryStore
from tests.store.builders import Clock, Row
from tests.trading.stored import NOON, SYMBOL, append, batch_of, correct, quote, ref, trade
from trading.core.events import BarPrint, Print
from trading.core.rows import CorporateAction, MarketRow, Quote, RowCorrection, StatusChange
from trading.engine import logs as engine_logs
from trading.engine.logs import Arrival, DataClock, EngineClock, FollowedLog, ReadPosition, WallClock, merged
from trading.exceptions import LogRestored, LogUnreadable

pytestmark = pytest.mark.system

# All rows are dated before it.
LATER = NOON + 60 * SECOND_NS
START = ReadPosition(BEGINNING, ALL_TIME.start_ns)
LogName = tuple[Dataset, str]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def store(tmp_path, clock: Clock) -> MarketStore:
    return CsvStore(tmp_path / "store", clock=clock)


def log_of(
    store: MarketStore,
    dataset: Dataset = TRADES,
    symbol: str = SYMBOL,
    *,
    place: ReadPosition = START,
    clock: EngineClock | None = None,
) -> FollowedLog:
    return FollowedLog(store, clock or WallClock(), dataset, symbol, place)


def taken(log: FollowedLog, *, most: int = 10**6) -> list[Arrival]:
    """Take what a log has, as the engine does."""
    found = []
    for arrival in log.arrivals():
        found.append(arrival)
        log.place = arrival.place
        if len(found) == most:
            break
    return found


def rows_of(arrivals: Iterable[Arrival]) -> list[MarketRow]:
    return [arrival.row for arrival in arrivals if arrival.row is not None]


def prices(arrivals: Iterable[Arrival]) -> list[float]:
    return [float(row.price) for row in rows_of(arrivals) if isinstance(row, Print)]


class TestOneLog:
    def test_rows_come_as_they_arrived_and_are_known_at_their_commit(self, store, clock):
        rows = [trade(2, 102.0), trade(1, 101.0)]
        first = append(store, TRADES, *rows)
        clock.now += SECOND_NS
        second = append(store, TRADES, trade(0, 100.0))
        arrivals = taken(log_of(store))
        assert prices(arrivals) == [102.0, 101.0, 100.0]
        assert [each.known_ns for each in arrivals] == [NOON, NOON, NOON + SECOND_NS]
        expected = [ref(first, 0, rows[0]), ref(first, 1, rows[1]), ref(second, 0, trade(0))]
        assert [row.ref for row in rows_of(arrivals)] == expected

    def test_by_the_data_they_are_known_at_the_largest_time_so_far(self, store, clock):
        clock.now = LATER
        append(store, TRADES, trade(2), trade(1), trade(30), trade(5))
        append(store, TRADES, trade(20), trade(31))
        arrivals = taken(log_of(store, clock=DataClock()))
        assert [(each.known_ns - NOON) // SECOND_NS for each in arrivals] == [2, 2, 30, 30, 30, 31]
        eligible = [row.is_eligible for row in rows_of(arrivals) if isinstance(row, Print)]
        assert eligible == [True, True, True, False, True, True]

    def test_a_row_of_the_future_does_not_stop_the_clock_of_the_data(self, store):
        append(store, TRADES, trade(3 * 3_600), trade(1))
        arrivals = taken(log_of(store, clock=DataClock()))
        assert [each.known_ns for each in arrivals] == [NOON] * 2

    def test_a_corporate_action_is_known_before_it_takes_effect(self, store, clock):
        clock.now = NOON + 60 * SECOND_NS
        ahead = {"timestamp": NOON + 86_400 * SECOND_NS, "kind": "split", "ratio": 2.0}
        receipt = append(store, CORPORATE_ACTIONS, ahead)
        append(store, CORPORATE_ACTIONS, ahead | {"timestamp": NOON})
        append(store, TRADES, trade())
        for by_data, known_ns in ((DataClock(), ALL_TIME.start_ns), (WallClock(), NOON + 60 * SECOND_NS)):
            logs = [log_of(store, each, clock=by_data) for each in (TRADES, CORPORATE_ACTIONS)]
            action = next(each for each in merged(logs) if each.dataset == CORPORATE_ACTIONS.name)
            assert (action.known_ns, action.row and action.row.ref) == (
                known_ns,
                ref(receipt, 0, ahead, CORPORATE_ACTIONS),
            )

    def test_nothing_new_is_nothing(self, store):
        log = log_of(store)
        assert taken(log) == []
        append(store, TRADES, trade())
        assert len(taken(log)) == 1
        assert taken(log) == []
        append(store, TRADES, trade(1, 101.0))
        assert prices(taken(log)) == [101.0]

    def test_what_was_not_taken_comes_again(self, store):
        append(store, TRADES, trade(0, 100.0), trade(1, 101.0))
        log = log_of(store)
        assert prices(log.arrivals()) == [100.0, 101.0]
        assert prices(taken(log, most=1)) == [100.0]
        assert prices(taken(log)) == [101.0]

    def test_corrections_name_the_row_with_its_values(self, store, clock):
        rows = append(store, TRADES, trade(0, 100.0), trade(1, 101.0))
        clock.now += 60 * SECOND_NS
        changed = correct(store, trade(1, 101.0), price=111.0, conditions="odd_lot")
        cancelled = correct(store, trade(1, 111.0))
        change, cancel = rows_of(taken(log_of(store)))[2:]
        assert isinstance(change, RowCorrection)
        assert isinstance(cancel, RowCorrection)
        target = ref(rows, 1, trade(1))
        assert (change.action, change.ref) == ("correct", ref(changed, 0, trade(1)))
        assert (cancel.action, cancel.ref) == ("cancel", ref(cancelled, 0, trade(1)))
        found = [
            (each.ref, float(each.price)) for each in (change.before, change.after) if isinstance(each, Print)
        ]
        assert found == [(target, 101.0), (target, 111.0)]
        assert (cancel.before.ref, cancel.after) == (target, None)
        assert change.known_ns == NOON + 60 * SECOND_NS

    def test_rows_of_backfills_do_not_count_but_the_feed_that_comes_after_them_does(self, store):
        fill = Fill(Window(NOON, NOON + 10 * SECOND_NS), "other")
        append(store, TRADES, trade(1, 101.0), trade(2, 102.0), fill=fill)
        append(store, TRADES, trade(1, 101.5), trade(3, 103.0))
        found = rows_of(taken(log_of(store)))
        eligible = [row.is_eligible for row in found if isinstance(row, Print)]
        assert eligible == [False, False, True, True]
        resumed = log_of(store, place=taken(log_of(store))[0].place)
        assert [row.is_eligible for row in rows_of(taken(resumed)) if isinstance(row, Print)] == eligible[1:]
        assert [row.action for row in found if isinstance(row, RowCorrection)] == ["cancel", "cancel"]

    def test_rows_of_backfills_count_on_the_data_clock(self, store):
        fill = Fill(Window(NOON, NOON + 10 * SECOND_NS), "other")
        append(store, TRADES, trade(1, 101.0), trade(2, 102.0), fill=fill)
        found = rows_of(taken(log_of(store, clock=DataClock())))
        assert [row.is_eligible for row in found if isinstance(row, Print)] == [True, True]

    def test_a_commit_without_rows_moves_the_place(self, store):
        receipt = append(store, TRADES, trade())
        empty = Append(TRADES, SYMBOL, batch_of(TRADES), "key:1", complete_until_ns=NOON)
        declared = store.append(empty)
        arrivals = taken(log_of(store, place=ReadPosition(LogPosition(receipt.commit), NOON)))
        assert [(each.row, each.place) for each in arrivals] == [
            (None, ReadPosition(LogPosition(declared.commit), NOON))
        ]

    def test_unwanted_rows_are_passed_over_but_for_their_corrections(self, store, clock, monkeypatch):
        clock.now = LATER
        monkeypatch.setattr(engine_logs, "_VALUES_AT_ONCE", 2)
        log = log_of(store, clock=DataClock())
        append(store, TRADES, trade(0), trade(9), trade(1), trade(2), trade(3))
        begun = log.arrivals()
        first = next(begun)
        log.is_wanted = False
        rest = list(begun)
        assert [first.row is not None, *(each.row is not None for each in rest)] == [True, True, False]
        assert (rest[-1].known_ns, rest[-1].place.newest_ns) == (NOON + 9 * SECOND_NS,) * 2
        log.place = rest[-1].place
        correct(store, trade(9))
        (correction,) = taken(log)
        assert isinstance(correction.row, RowCorrection)
        append(store, TRADES, trade(10), trade(11))
        assert [each.row for each in taken(log)] == [None]
        log.is_wanted = True
        assert taken(log) == []

    def test_other_datasets_have_their_own_values(self, store):
        append(store, QUOTES, quote())
        append(store, CORPORATE_ACTIONS, {"timestamp": NOON, "kind": "split", "ratio": 2.0})
        append(store, TRADING_STATUS, {"timestamp": NOON, "status": "halted"})
        for dataset, kind in (
            (QUOTES, Quote),
            (CORPORATE_ACTIONS, CorporateAction),
            (TRADING_STATUS, StatusChange),
        ):
            (row,) = rows_of(taken(log_of(store, dataset)))
            assert isinstance(row, kind)

    def test_of_bars_that_overlap_the_first_counts(self, store, clock):
        clock.now = NOON + 7_200 * SECOND_NS
        prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
        bars = [(0, "1m"), (60, "1m"), (0, "1h"), (3_600, "1m"), (7_200 - 300, "5m"), (3_660, "1m")]
        rows = [{"timestamp": NOON + at * SECOND_NS, "resolution": each, **prices} for at, each in bars]
        append(store, BARS, *rows[:2])
        append(store, BARS, *rows[2:])
        found = [row for row in rows_of(taken(log_of(store, BARS))) if isinstance(row, BarPrint)]
        assert [row.is_eligible for row in found] == [True, True, False, True, True, False]
        by_data = taken(log_of(store, BARS, clock=DataClock()))
        assert [(each.known_ns - NOON) // SECOND_NS for each in by_data] == [
            60,
            120,
            3_600,
            3_660,
            7_200,
            7_200,
        ]

    def test_it_is_followed_from_a_commit_on(self, store, clock):
        clock.now = LATER
        first = append(store, TRADES, trade(5, 100.0))
        append(store, TRADES, trade(1, 101.0))
        log = FollowedLog.after(store, DataClock(), TRADES, SYMBOL, first.commit.token)
        (arrival,) = taken(log)
        assert (arrival.known_ns, arrival.row and arrival.row.known_ns) == (NOON + 5 * SECOND_NS,) * 2
        assert len(taken(FollowedLog.after(store, DataClock(), TRADES, SYMBOL, "0-000000"))) == 2
        assert taken(FollowedLog.after(store, DataClock(), QUOTES, SYMBOL, "0-000000")) == []

    def test_it_is_followed_from_its_head_on(self, store, clock):
        clock.now = LATER
        for dataset in (TRADES, QUOTES):
            if dataset is TRADES:
                append(store, dataset, trade(5, 100.0))
            log = FollowedLog.at_head(store, DataClock(), dataset, SYMBOL)
            assert taken(log) == []
            append(store, dataset, trade(1) if dataset is TRADES else quote(5))
            assert [each.known_ns for each in taken(log)] == [NOON + 5 * SECOND_NS]

    def test_a_log_that_was_restored_says_so(self, store, tmp_path, clock):
        other = CsvStore(tmp_path / "other", clock=clock)
        receipt = append(other, TRADES, trade(7))
        append(store, TRADES, trade())
        with pytest.raises(LogRestored, match=r"trades of AAPL: .* was restored") as caught:
            FollowedLog.after(store, WallClock(), TRADES, SYMBOL, receipt.commit.token)
        assert (caught.value.dataset, caught.value.symbol) == ("trades", SYMBOL)
        for ordinal in (0, 1):
            place = ReadPosition(LogPosition(receipt.commit, ordinal), NOON)
            with pytest.raises(LogRestored):
                taken(log_of(store, place=place))
        with pytest.raises(LogRestored):
            taken(log_of(store, symbol="GONE", place=ReadPosition(LogPosition(receipt.commit), NOON)))

    def test_a_log_that_cannot_be_read_names_itself(self, store, monkeypatch):
        append(store, TRADES, trade())

        def busy(*_: Any) -> None:
            raise StoreBusy("somebody writes")

        monkeypatch.setattr(type(store.log(TRADES, SYMBOL)), "commits", busy)
        with pytest.raises(LogUnreadable, match="trades of AAPL: somebody writes"):
            taken(log_of(store))


class TestManyLogs:
    def test_they_are_merged_by_instant_dataset_and_symbol(self, store, clock):
        for seconds, dataset, symbol in (
            (0, TRADES, "A"),
            (0, QUOTES, "B"),
            (0, TRADES, "B"),
            (1, TRADES, "A"),
        ):
            clock.now = NOON + seconds * SECOND_NS
            append(store, dataset, trade() if dataset is TRADES else quote(), symbol=symbol)
        logs = [log_of(store, dataset, symbol) for dataset in (TRADES, QUOTES) for symbol in ("B", "A", "C")]
        order = [(each.known_ns - NOON, each.dataset, each.symbol) for each in merged(logs)]
        assert order == sorted(order)
        assert len(order) == 4

    @pytest.mark.parametrize("make", [WallClock, DataClock])
    def test_a_clock_goes_on_with_the_rows_and_never_back(self, make: Callable[..., EngineClock]):
        clock = make(NOON)
        assert clock.advance(NOON - 1) == clock.now_ns == NOON
        assert clock.advance(NOON + 1) == clock.now_ns == NOON + 1

    def test_without_rows_only_the_wall_clock_goes_on(self):
        wall, data = WallClock(NOON, clock=lambda: NOON + 7), DataClock(NOON)
        assert (wall.idle(), wall.now_ns, data.idle()) == (NOON + 7, NOON, NOON)
        assert wall.advance(wall.idle()) == wall.now_ns == NOON + 7


LOGS: list[LogName] = [(TRADES, "A"), (TRADES, "B"), (QUOTES, "A")]
seconds = st.integers(0, 40).map(float)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Batches of rows in any order, corrections of earlier rows, fills and what supersedes them."""
    kinds = st.sampled_from(["rows", "rows", "rows", "correct", "fill", "declare"])
    return [
        (
            draw(kinds),
            draw(st.integers(0, 2)),
            draw(st.lists(seconds, min_size=1, max_size=5)),
            draw(st.integers(0, 3)),
        )
        for _ in range(draw(st.integers(1, 8)))
    ]


def write(store: MarketStore, clock: Clock, step: tuple[Any, ...]) -> None:
    kind, log, times, passed = step
    dataset, symbol = LOGS[log]
    clock.now += passed * SECOND_NS
    rows: list[Row] = [quote(each) if dataset is QUOTES else trade(each, 100.0 + each) for each in times]
    fill = None
    if kind == "fill":
        fill = Fill(Window(NOON, NOON + 60 * SECOND_NS), "other")
    if kind == "declare":
        until_ns = NOON + int(times[0]) * SECOND_NS
        store.append(Append(dataset, symbol, batch_of(dataset), "key:1", complete_until_ns=until_ns))
    elif kind == "correct" and dataset is TRADES:
        row = rows[0]
        append(store, dataset, *rows, symbol=symbol)
        correct(store, row, symbol=symbol, **({"price": 7.0} if passed % 2 else {}))
    else:
        append(store, dataset, *rows, symbol=symbol, fill=fill)


def sequence(
    store: MarketStore, make_clock: Callable[[], EngineClock], cuts: Sequence[int]
) -> list[tuple[int, str, str, MarketRow]]:
    """What the engine sees that is killed after so many arrivals each time, and begins again at the stored places."""
    places = dict.fromkeys(LOGS, START)
    found: list[tuple[int, str, str, MarketRow]] = []
    for cut in [*cuts, 10**6]:
        clock = make_clock()
        logs = {name: log_of(store, *name, place=place, clock=clock) for name, place in places.items()}
        for number, arrival in enumerate(merged(logs.values())):
            if number == cut:
                break
            (name,) = [each for each in LOGS if (each[0].name, each[1]) == arrival[1:3]]
            places[name] = arrival.place
            if arrival.row is not None:
                found.append((*arrival[:3], arrival.row))
    return found


@settings(max_examples=1_000 if SOAK else 40)
@given(steps(), st.lists(st.integers(0, 9), max_size=6), st.sampled_from([WallClock, DataClock]))
def test_a_resumed_sequence_is_the_undisturbed_one(
    written: list[tuple[Any, ...]], cuts: list[int], make_clock: Callable[[], EngineClock]
):
    clock = Clock(NOON + 50 * SECOND_NS)
    store = MemoryStore(clock=clock)
    for step in written:
        write(store, clock, step)
    whole = sequence(store, make_clock, [])
    with patch.object(engine_logs, "_VALUES_AT_ONCE", 2):
        assert sequence(store, make_clock, cuts) == whole
    assert [each[:3] for each in whole] == sorted(each[:3] for each in whole)
    refs = [each[3].ref for each in whole]
    assert len({(each.dataset, each.symbol, each.commit, each.ordinal) for each in refs}) == len(refs)
    assert len(refs) == sum(stored_lines(store, *name) for name in LOGS)


def stored_lines(store: MarketStore, dataset: Dataset, symbol: str) -> int:
    if symbol not in store.symbols(dataset):
        return 0
    pieces = list(store.log(dataset, symbol).commits(BEGINNING))
    return sum(getattr(piece, "length", 0) for piece in pieces)
