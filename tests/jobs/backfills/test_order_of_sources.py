"""Which source fills a gap, with what, and what the others said."""

import re
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.db.models.functions import Now

from jobs.backfills.models import Backfill
from jobs.exceptions import WorkerEnding
from jobs.models import Job
from sources.folder import Folder
from sources.models import SourceSymbol
from sources.protocol import SourcePage
from store.datasets import BARS, TRADES
from store.expiring import expire, planned
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS, MINUTE_NS, format_timestamp
from tests.api_client import Api
from tests.jobs.backfills.gap_market import (
    LOST,
    MINUTES,
    NO_GAP,
    OPEN,
    SCHEDULE,
    TIMES,
    fetched_from,
    found_gaps,
    ran,
    store_bars,
    stored_times,
    submitted,
    without,
)
from tests.jobs.running import run_job
from tests.ops.outbound.hostile_server import Call, Server, says, served
from tests.patience import PATIENCE_SECONDS
from tests.stats.market_data.absence.quiet_market import store_trades
from trades.stores import market_store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]


def test_the_symbols_own_source_is_asked_first(api: Api, archive) -> None:
    store_trades(without(LOST))
    archive(name="other", price=99.0)
    archive(name="own")
    fetched_from("own", "trades")
    assert ran(submitted(api))["filled"] == 1
    assert stored_times() == TIMES.tolist()
    assert [(row.source, row.told) for row in Backfill.objects.all()] == [("own", [])]


def test_a_secondary_source_gives_bars_of_whole_minutes_and_no_trades(api: Api, archive, minutes) -> None:
    """It lacks ten of the thirty minutes. They stay a gap: what it lacks may have been traded elsewhere."""
    store_trades(without(LOST))
    archive(without((0, OPEN + DAY_NS)), name="own")
    fetched_from("own", "trades")
    lacks = (LOST[0] + 10 * MINUTE_NS, LOST[0] + 20 * MINUTE_NS)
    minutes(without(lacks, times=MINUTES), name="venue", price=11.0)
    result = ran(submitted(api))
    assert (result["filled"], result["rows"], result["exhausted"]) == (1, 20, 1)
    assert stored_times() == without(LOST).tolist()
    bars = market_store().log(BARS, "GEN").at()
    expected = [
        each for each in MINUTES.tolist() if LOST[0] <= each < LOST[1] and not lacks[0] <= each < lacks[1]
    ]
    assert bars.rows(ALL_TIME).column("timestamp").to_pylist() == expected
    assert {(fill.source, fill.request) for _, fill in bars.fills(ALL_TIME)} == {("venue", "bars 1m")}
    nothing = {"said": "has no rows here, and does not know that there are none"}
    told = {(row.state, row.dataset, row.source): row.told for row in Backfill.objects.all()}
    assert told == {
        ("filled", "bars", "venue"): [{"source": "own", **nothing}],
        ("exhausted", "trades", ""): [{"source": "own", **nothing}, {"source": "venue", **nothing}],
    }
    (gap,) = found_gaps(api)
    assert (gap["start"], gap["end"]) == tuple(map(format_timestamp, lacks))


def test_a_gap_of_expired_trades_is_filled_with_bars(api: Api, archive, minutes) -> None:
    store_trades(without(LOST))
    archive(name="own")
    fetched_from("own", "trades")
    minutes(MINUTES, name="venue", price=11.0)
    expire(market_store(), planned(market_store(), TRADES, "GEN", (OPEN // DAY_NS + 1) * DAY_NS))
    result = ran(submitted(api))
    assert (result["filled"], result["rows"], result["exhausted"]) == (1, 30, 0)
    (filled,) = Backfill.objects.all()
    assert filled.source == "venue"
    assert "have expired: send rows from" in filled.told[0]["said"]
    assert found_gaps(api) == []


def test_of_a_symbol_with_bars_alone_bars_are_asked_for(api: Api, minutes) -> None:
    """The own source's answer is evidence, also where it has no bar."""
    lacks = (LOST[0] + 10 * MINUTE_NS, LOST[0] + 20 * MINUTE_NS)
    minutes(without(lacks, times=MINUTES), name="own", price=10.0)
    fetched_from("own", "bars", "1m")
    store_bars(without(LOST, times=MINUTES))
    result = ran(submitted(api, rule="calendar"))
    assert (result["filled"], result["rows"], result["exhausted"]) == (1, 20, 0)
    assert ran(submitted(api, rule="calendar")) == NO_GAP, "nothing is asked for twice"
    assert found_gaps(api) == []


def test_a_source_that_asks_to_wait_is_left_for_the_next_one(api: Api, archive, settings) -> None:
    store_trades(without(LOST))
    with served(says(b"", 503, Retry_After="300")) as busy:
        settings.SOURCES = {"busy": {"kind": "installation", "url": busy.url, "limits": {"attempts": 1}}}
        archive()
        began = time.monotonic()
        assert ran(submitted(api))["filled"] == 1
        assert len(busy.calls) == 1
    assert time.monotonic() - began < PATIENCE_SECONDS
    (row,) = Backfill.objects.all()
    assert (row.source, row.told[0]["source"]) == ("archive", "busy")
    assert "503" in row.told[0]["said"]


@pytest.fixture
def vendors(settings: Any) -> Iterator[Server]:
    """Two vendors of Massive's form with all minutes of GEN. Of the first the sixth lost one closes above its high."""

    def bars(call: Call) -> None:
        match = re.fullmatch(r"/v2/aggs/ticker/GEN/range/1/minute/(\d+)/(\d+)\?.*", call.path)
        assert match, call.path
        asked = [each for each in MINUTES.tolist() if int(match[1]) <= each // 10**6 <= int(match[2])]
        results = [{"t": each // 10**6, **dict.fromkeys("ohlc", 10.0), "v": 1} for each in asked]
        if call.headers["Authorization"] == "Bearer first" and LOST[0] in asked:
            results[asked.index(LOST[0]) + 5]["h"] = 9.0
        says(orjson.dumps({"results": results}))(call)

    with served(bars) as server:
        declared = {"kind": "massive", "url": server.url, "limits": {"attempts": 1, "rate": None}}
        settings.SOURCES = {"first": declared, "second": declared}
        settings.SOURCE_KEYS = {"first": "first", "second": "second"}
        yield server


def test_vendors_are_asked_for_rows_alone_and_a_broken_one_is_left_to_the_next(
    api: Api, vendors: Server
) -> None:
    """Each gap takes two requests: of its bars, and of a later one. Nobody asks for the list of markets."""
    other = (LOST[0] - 3 * DAY_NS, LOST[1] - 3 * DAY_NS)
    store_trades(without(LOST, other))
    result = ran(submitted(api, rule="calendar"))
    assert (result["filled"], result["rows"], result["exhausted"]) == (3, 60, 0)
    assert len(vendors.calls) == 6
    rows = Backfill.objects.order_by("pk")
    assert [(row.source, row.rows) for row in rows] == [("first", 30), ("first", 29), ("second", 1)]
    broken = f"row 5, {format_timestamp(LOST[0] + 5 * MINUTE_NS)}, the row open and close must lie between low and high"
    assert (rows[1].message, rows[2].told) == (broken, [{"source": "first", "said": broken}])
    assert not SourceSymbol.objects.exists()


def test_a_source_that_costs_money_is_never_asked(api: Api, settings) -> None:
    store_trades(without(LOST))
    with served(says(b"")) as vendor:
        settings.SOURCES = {"paid": {"kind": "databento", "url": vendor.url}}
        settings.SOURCE_KEYS = {"paid": "db-key"}
        assert ran(submitted(api))["exhausted"] == 1
        assert vendor.calls == []
    assert [each["source"] for each in Backfill.objects.get().told if "costs money" in each["said"]] == [
        "paid"
    ]


def test_a_job_that_is_stopped_between_pages_has_recorded_what_it_stored(
    api: Api, archive, monkeypatch
) -> None:
    date = (int(SCHEDULE.open_ns[25]), int(SCHEDULE.close_ns[26]))
    store_trades(without(date))
    archive()
    fetch = Folder.pages

    def pages(source: Folder, *asked: Any) -> Iterator[SourcePage]:
        for page in fetch(source, *asked):
            if page.answered.end_ns > int(SCHEDULE.open_ns[26]):
                raise WorkerEnding
            yield page

    monkeypatch.setattr(Folder, "pages", pages)
    job = submitted(api)
    run_job(job.uuid)
    first = Backfill.objects.get()
    assert (first.state, first.rows) == ("filled", 4 * 390)
    monkeypatch.undo()
    Job.objects.update(not_before=Now())
    ran(job)
    assert stored_times() == TIMES.tolist()
    assert Backfill.objects.count() == 2
