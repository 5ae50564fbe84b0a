"""Which source fills a gap, with what, and what the others said."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from jobs.backfills.models import Backfill
from jobs.exceptions import WorkerEnding
from jobs.models import Job
from jobs.run import run_job
from sources.folder import Folder
from sources.protocol import SourcePage
from store.datasets import BARS
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS, MINUTE_NS, format_timestamp
from tests.api_client import Api, answer
from tests.jobs.backfills.gap_market import (
    LOST,
    MINUTES,
    OPEN,
    SCHEDULE,
    TIMES,
    fetched_from,
    ran,
    store_bars,
    stored_times,
    submitted,
    without,
)
from tests.ops.outbound.hostile_server import says, served
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
    assert (result["filled"], result["rows"], result["exhausted"]) == (2, 20, 1)
    assert stored_times() == without(LOST).tolist()
    bars = market_store().log(BARS, "GEN").at()
    expected = [
        each for each in MINUTES.tolist() if LOST[0] <= each < LOST[1] and not lacks[0] <= each < lacks[1]
    ]
    assert bars.rows(ALL_TIME).column("timestamp").to_pylist() == expected
    assert {(fill.source, fill.request) for _, fill in bars.fills(ALL_TIME)} == {("venue", "bars 1m")}
    nothing = "has no rows here, and does not know that there are none"
    told = {(row.state, row.dataset, row.source): row.told for row in Backfill.objects.all()}
    assert told == {
        ("filled", "bars", "venue"): [["own", nothing]],
        ("exhausted", "trades", ""): [["own", nothing], ["venue", nothing]],
    }
    query = {"start": format_timestamp(LOST[0]), "end": format_timestamp(LOST[1]), "resolution": "1m"}
    (gap,) = answer(api.get("/api/v1/market-data/equities/GEN/gaps", query))["gaps"]
    assert (gap["start"], gap["end"]) == tuple(map(format_timestamp, lacks))


def test_of_a_symbol_with_bars_alone_bars_are_asked_for(api: Api, minutes) -> None:
    """The own source's answer is evidence, also where it has no bar."""
    lacks = (LOST[0] + 10 * MINUTE_NS, LOST[0] + 20 * MINUTE_NS)
    minutes(without(lacks, times=MINUTES), name="own", price=10.0)
    fetched_from("own", "bars", "1m")
    store_bars(without(LOST, times=MINUTES))
    result = ran(submitted(api, rule="calendar"))
    assert (result["filled"], result["rows"], result["exhausted"]) == (1, 20, 0)
    assert ran(submitted(api, rule="calendar"))["gaps"] == 0, "nothing is asked for twice"
    query = {"start": format_timestamp(LOST[0]), "end": format_timestamp(LOST[1]), "resolution": "1m"}
    assert answer(api.get("/api/v1/market-data/equities/GEN/gaps", query))["gaps"] == []


def test_a_source_that_asks_to_wait_is_asked_again_after_that_time(api: Api, archive, settings) -> None:
    store_trades(without(LOST))
    with served(says(b"", 503, Retry_After="7300")) as busy:
        settings.SOURCES = {"busy": {"kind": "installation", "url": busy.url, "limits": {"attempts": 1}}}
        assert ran(submitted(api))["exhausted"] == 1
    row = Backfill.objects.get()
    assert row.retry_at is not None
    assert round((row.retry_at - row.asked_at).total_seconds()) == 7300
    assert "503" in row.told[0][1]


def test_a_source_that_costs_money_is_never_asked(api: Api, settings) -> None:
    store_trades(without(LOST))
    with served(says(b"")) as vendor:
        settings.SOURCES = {"paid": {"kind": "databento", "url": vendor.url}}
        settings.SOURCE_KEYS = {"paid": "db-key"}
        assert ran(submitted(api))["exhausted"] == 1
        assert vendor.calls == []
    assert [name for name, said in Backfill.objects.get().told if "costs money" in said] == ["paid"]


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
    Job.objects.update(not_before=timezone.now())
    ran(job)
    assert stored_times() == TIMES.tolist()
    assert Backfill.objects.count() == 2
