"""Which runs of empty minutes are gaps: generated trades with holes, held against a plain oracle."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from store.arrays import Integers
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.api_client import Api, answer, problem
from tests.chance import SOAK
from tests.stats.market_data.absence.quiet_market import (
    Oracle,
    minutes_of,
    schedule_of,
    store_trades,
    text_of,
    trade_times,
)
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not IS_OF_FILES, reason="months of trades are slow in the store in memory"),
    pytest.mark.system,
]
PATH = "/api/v1/market-data/equities/GEN/ohlcv"
SCHEDULE = schedule_of(34)
MINUTES = minutes_of(SCHEDULE)
LAST = slice(len(MINUTES) - 390, None)


def without(times: Integers, *holes: tuple[int, int]) -> Integers:
    """The times outside the holes, each given by its first minute on the last date and its length."""
    kept = np.ones(len(times), dtype=bool)
    for first, length in holes:
        start = MINUTES[LAST][first]
        kept &= (times < start) | (times >= start + length * MINUTE_NS)
    return times[kept]


def reasons(api: Api, reason: str = "gap", date: int = -1, **params: Any) -> list[tuple[str, str]]:
    """The runs with a reason in the regular session of a date."""
    edges = {"start": text_of(int(SCHEDULE.open_ns[date])), "end": text_of(int(SCHEDULE.close_ns[date]))}
    query = {"resolution": "1m", "hours": "regular", "coverage": 1, "limit": 10_000, **edges, **params}
    response = api.get(PATH, query)
    assert response.status_code == 200, response.content
    return [(each["start"], each["end"]) for each in answer(response)["absences"] if each["reason"] == reason]


def hole(first: int, length: int) -> tuple[str, str]:
    start = int(MINUTES[LAST][first])
    return text_of(start), text_of(start + length * MINUTE_NS)


def busy(rate: float = 20.0, seed: int = 1) -> Integers:
    return trade_times(np.random.default_rng(seed), MINUTES, rate)


LENGTHS = {"1s": 1, "45s": 45, "1m": 60, "7m": 420, "30m": 1_800, "1h": 3_600}


@pytest.mark.parametrize("resolution", LENGTHS)
def test_a_cut_and_a_lost_minute_are_gaps_at_every_resolution(api: Api, resolution: str):
    store_trades(without(busy(), (30, 120), (210, 1)))
    found = reasons(api, resolution=resolution)
    # 10:00 to 12:00, and at 13:00 a minute, which is less than the longer intervals; in whole intervals.
    length, wanted = LENGTHS[resolution] * SECOND_NS, []
    for first, minutes in ((30, 120), (210, 1)):
        start = int(MINUTES[LAST][first])
        whole = -(-start // length) * length, (start + minutes * MINUTE_NS) // length * length
        wanted += [tuple(map(text_of, whole))] if whole[0] < whole[1] else []
    assert found == wanted


def test_few_trades_are_no_gaps_but_by_the_calendar(api: Api):
    times = busy(0.05)
    store_trades(times)
    assert reasons(api) == []
    quiet = reasons(api, "no_trades")
    assert reasons(api, rule="calendar") == quiet
    market_store().set_instrument(Instrument("GEN", exchange="XNYS", gap_rule="calendar"))
    assert reasons(api) == quiet
    assert reasons(api, rule="evidence") == []


@pytest.mark.parametrize("seed", range(6 if SOAK else 1))
def test_runs_are_judged_as_the_oracle_judges_them(api: Api, seed: int):
    chance = np.random.default_rng(seed)
    times = trade_times(chance, MINUTES, float(chance.choice([0.3, 1.0, 3.0])))
    for _ in range(int(chance.integers(2, 7))):
        start = int(chance.choice(MINUTES))
        times = times[(times < start) | (times >= start + int(chance.integers(5, 150)) * MINUTE_NS)]
    store_trades(times)
    oracle = Oracle(SCHEDULE, tuple(times.tolist()))
    found = [each for date in range(len(SCHEDULE)) for each in reasons(api, date=date)]
    assert found == [(text_of(start), text_of(end)) for start, end in oracle.gaps]


def test_a_quiet_run_is_listed_with_the_trades_that_were_expected(api: Api):
    times = busy(0.7)
    store_trades(times)
    oracle, date = Oracle(SCHEDULE, tuple(times.tolist())), len(SCHEDULE) - 1
    edges = {"start": text_of(int(SCHEDULE.open_ns[date])), "end": text_of(int(SCHEDULE.close_ns[date]))}
    response = api.get(f"{PATH.removesuffix('ohlcv')}gaps", {"resolution": "1m", "quiet": 1, **edges})
    found = [(each["start"], each["reason"], each["expected_trades"]) for each in answer(response)["gaps"]]
    runs = oracle.runs[date]
    assert len(runs) > 50
    assert found == [(text_of(run.start_ns), "no_trades", round(oracle.expected(run), 3)) for run in runs]


def test_too_little_history_is_no_gap(api: Api):
    times = without(busy(), (30, 120))
    store_trades(times[times >= SCHEDULE.open_ns[-21]])
    # The first date may lack its beginning, so nineteen clean dates are left.
    assert (reasons(api), reasons(api, "no_trades")) == ([], [hole(30, 120)])


def test_what_is_declared_to_be_complete_is_no_gap(api: Api):
    store_trades(without(busy(), (30, 120), (210, 1)))
    complete_ns = int(MINUTES[LAST][140])
    rows = pa.record_batch([pa.nulls(0, each.type) for each in TRADES.schema], schema=TRADES.schema)
    market_store().append(Append(TRADES, "GEN", rows, "tests", complete_until_ns=complete_ns))
    # Of the cut only the last ten minutes are later.
    assert reasons(api) == [hole(140, 10), hole(210, 1)]
    assert reasons(api, rule="calendar") == [hole(30, 120), hole(210, 1)]


def test_a_row_that_sets_no_bar_shows_that_the_feed_was_up(api: Api):
    store_trades(without(busy(1.0), (30, 30)), bar_policy="us_equities")
    ((start, end),) = reasons(api)
    assert (start, end) <= hole(30, 30)
    assert end >= hole(30, 30)[1]
    odd_lots = MINUTES[LAST][[35, 45, 55]] + 1
    store_trades(odd_lots, bar_policy="us_equities", conditions="odd_lot")
    assert reasons(api) == []


def test_a_halt_is_no_empty_run_and_its_date_is_not_clean(api: Api):
    store_trades(without(busy(), (30, 30)))
    halt = [{"symbol": "GEN", "timestamp": hole(30, 30)[0], "status": "halted"}]
    halt += [{"symbol": "GEN", "timestamp": hole(30, 20)[1], "status": "resumed"}]
    response = api.ingest(orjson.dumps({"trading_status": halt}), path="/api/v1/trading-status/ingest")
    assert response.status_code == 200, response.content
    assert (reasons(api, "halted"), reasons(api)) == ([hole(30, 20)], [hole(50, 10)])


def test_the_judgement_does_not_depend_on_where_the_range_begins(api: Api):
    store_trades(without(busy(1.0), (30, 60)))
    (whole,) = reasons(api)
    inside = text_of(int(MINUTES[LAST][60]))
    assert reasons(api, start=inside) == [(inside, whole[1])]
    assert reasons(api, end=inside) == [(whole[0], inside)]


def test_what_was_known_then_is_judged_by_what_was_known_then(api: Api, clock: Any):
    times = without(busy(), (30, 120))
    early = times < SCHEDULE.open_ns[-10]
    store_trades(times[~early])
    moment = clock()
    store_trades(times[early])
    assert (reasons(api, as_of=moment), reasons(api)) == ([], [hole(30, 120)])


def test_a_date_without_a_bar_is_a_gap_and_no_clean_date(api: Api):
    times = without(busy(), (0, 390))
    store_trades(times)
    assert reasons(api) == [hole(0, 390)]


def test_the_rule_is_of_missing_bars_only(api: Api):
    refused = api.get(PATH, {"start": "2024-01-02", "rule": "calendar"})
    assert problem(refused) == (400, "conflicting_parameters")
    of_ticks = {"start": "2024-01-02T15:00Z", "end": "2024-01-02T15:01Z", "resolution": "tick", "coverage": 1}
    assert problem(api.get(PATH, of_ticks)) == (400, "conflicting_parameters")
    assert problem(api.get(PATH, {"start": "2024-01-02", "coverage": 1, "rule": "x"})) == (
        400,
        "invalid_parameter",
    )
