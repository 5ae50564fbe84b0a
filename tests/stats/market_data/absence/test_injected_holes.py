"""Holes of seven kinds in generated trades: no real one is called quiet, no quiet one a gap."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from stats.market_data.gaps import absences_of, gaps_snapshot, parse_gaps_query
from store.arrays import Integers
from store.timestamps import MINUTE_NS, parse_timestamp
from tests.api_client import Api
from tests.chance import SOAK
from tests.stats.market_data.absence.quiet_market import (
    minutes_of,
    schedule_of,
    store_trades,
    text_of,
    trade_times,
)
from tests.store_settings import IS_OF_FILES

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not IS_OF_FILES, reason="months of trades are slow in the store in memory"),
    pytest.mark.system,
]
DATES = 64
SCHEDULE = schedule_of(DATES, "2024-02-12")
MINUTES = minutes_of(SCHEDULE)
# Of the last date only the morning is over.
NOW_NS = int(SCHEDULE.open_ns[-1]) + 120 * MINUTE_NS
RATES = (0.05, 0.1, 0.4, 1.0, 2.0, 4.0, 20.0)
SYMBOLS = 640 if SOAK else 7
FEW_TRADES, ENOUGH = "no_trades", 14


@dataclass(frozen=True)
class Hole:
    kind: str
    start_ns: int
    end_ns: int
    wanted: str


def holes_of(chance: np.random.Generator, rate: float, first: int) -> list[Hole]:
    """The holes of a symbol whose first trades are of a date. Each date after its history has one at most."""
    date_of = SCHEDULE.open_ns
    found = [
        Hole(
            "closed", int(SCHEDULE.close_ns[first + 3]) + 4 * 3600 * 10**9, int(date_of[first + 4]), "closed"
        ),
        Hole("unlisted", int(date_of[first - 2]), int(SCHEDULE.close_ns[first - 2]), "unlisted"),
        Hole("not yet", NOW_NS, int(SCHEDULE.close_ns[-1]), "not_yet"),
    ]
    for date in range(first + 22, DATES - 1, 3):
        kind = str(chance.choice(["cut", "lost", "halted"]))
        minutes = 1 if kind == "lost" else int(chance.integers(1, max(3, min(300, round(40 / rate)))))
        start = int(date_of[date]) + int(chance.integers(0, 390 - minutes)) * MINUTE_NS
        found.append(Hole(kind, start, start + minutes * MINUTE_NS, "halted" if kind == "halted" else "gap"))
    return found


def without(times: Integers, holes: list[Hole]) -> Integers:
    kept = times < NOW_NS
    for hole in holes:
        kept &= (times < hole.start_ns) | (times >= hole.end_ns)
    return times[kept]


def store_halts(api: Api, symbol: str, holes: list[Hole]) -> None:
    rows = [
        {"symbol": symbol, "timestamp": text_of(instant_ns), "status": status}
        for hole in holes
        if hole.kind == "halted"
        for instant_ns, status in ((hole.start_ns, "halted"), (hole.end_ns, "resumed"))
    ]
    if rows:
        response = api.ingest(orjson.dumps({"trading_status": rows}), path="/api/v1/trading-status/ingest")
        assert response.status_code == 200, response.content


def reasons_of(symbol: str) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """The absences of all dates, and the judged runs with their figures."""
    edges = f"start={text_of(int(SCHEDULE.start_ns[0]))}&end={text_of(int(SCHEDULE.end_ns[-1]))}"
    query = parse_gaps_query("equities", symbol, f"{edges}&resolution=1m&quiet=1")
    report = gaps_snapshot(query, now_ns=NOW_NS)
    absences = absences_of(report.pages[0])
    listed = absences.of_page(np.empty(0, np.int64), None, None)
    return msgspec.to_builtins(listed), msgspec.to_builtins(report.document())["gaps"]


def test_no_real_hole_is_called_quiet_and_no_quiet_one_a_gap(api: Api):
    chance, counts, small = np.random.default_rng(17), dict[str, int](), 0
    for number in range(SYMBOLS):
        rate, symbol, first = RATES[number % len(RATES)], f"H{number}", int(chance.integers(3, 8))
        holes = holes_of(chance, rate, first)
        times = without(trade_times(chance, MINUTES[SCHEDULE.open_ns[first] <= MINUTES], rate), holes)
        store_trades(times, symbol=symbol)
        store_halts(api, symbol, holes)
        absences, judged = reasons_of(symbol)
        gaps = [
            (parse_timestamp(each["start"]), parse_timestamp(each["end"]))
            for each in absences
            if each["reason"] == "gap"
        ]
        for hole in holes:
            counts[hole.kind] = counts.get(hole.kind, 0) + 1
            at = text_of((hole.start_ns + hole.end_ns) // 2)
            (reason,) = [each["reason"] for each in absences if each["start"] <= at < each["end"]]
            if reason == FEW_TRADES:
                (run,) = [each for each in judged if each["start"] <= at < each["end"]]
                assert hole.wanted == "gap"
                assert run["expected_trades"] < ENOUGH, (symbol, hole, run)
                small += 1
            else:
                assert reason == hole.wanted, (symbol, hole)
        real = [hole for hole in holes if hole.wanted == "gap"]
        for start, end in gaps:
            assert any(hole.start_ns < end and start < hole.end_ns for hole in real), (symbol, start)
    counts["sparse"] = SYMBOLS
    assert sum(counts.values()) > (10_000 if SOAK else 100)
    assert set(counts) == {"closed", "unlisted", "not yet", "cut", "lost", "halted", "sparse"}
    assert small < sum(counts.values()) // 2
