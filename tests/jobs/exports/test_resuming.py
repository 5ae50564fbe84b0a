"""An export that was interrupted anywhere, or is made again later or from a copy, has the same bytes."""

import random
import time
from pathlib import Path
from typing import Any, cast

import pytest

from jobs.exceptions import JobCancelled
from stats.exceptions import ResyncRequired
from store.copying import copy_log
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import Expired
from store.expiring import expire, planned
from store.maintained import MaintainedStore
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, trade
from tests.chance import SOAK, chosen_seed
from tests.jobs.exports.exported import contents, parameters_of, write
from trades.stores import market_store

pytestmark = pytest.mark.django_db
START_NS = parse_timestamp("2025-01-02T14:30:00Z")
BODY = {"dataset": "trades", "symbols": ["AAPL", "MSFT"], "start": "2025-01-01", "end": "2025-02-01"}


def fill(api: Api, count: int = 400) -> None:
    """Store trades of two symbols on a few dates."""
    for symbol in BODY["symbols"]:
        rows = [
            trade(symbol=symbol, timestamp=format_timestamp(START_NS + number * DAY_NS // 70), volume=number)
            for number in range(count)
        ]
        assert answer(api.ingest(*rows))["stored"] == count


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the writer read and write a few rows at a time."""
    monkeypatch.setattr("jobs.exports.files.READ_ROWS", 37)
    monkeypatch.setattr("jobs.exports.files.ROW_GROUP_ROWS", 16)


class Interrupting:
    """A report that stops the attempt at one of its calls."""

    def __init__(self, calls: int) -> None:
        self._calls = calls

    def __call__(self, *_: Any) -> None:
        self._calls -= 1
        if self._calls < 0:
            raise JobCancelled


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_interrupted_anywhere_it_ends_with_the_same_bytes(api: Api, tmp_path: Path, form: str) -> None:
    fill(api)
    parameters = parameters_of(time.time_ns(), **BODY, format=form)
    result = write(tmp_path / "alone", parameters)
    chance = random.Random(chosen_seed())
    interruptions = 0
    for attempt in range(20 if SOAK else 5):
        folder = tmp_path / str(attempt)
        while True:
            try:
                again = write(folder, parameters, Interrupting(chance.randrange(3, 30)))
                break
            except JobCancelled:
                interruptions += 1
        assert again == result
        assert contents(folder) == contents(tmp_path / "alone")
        assert not [*(folder / "work" / "unfinished").iterdir()]
    assert interruptions


@pytest.mark.usefixtures("small_pieces")
def test_finished_files_are_not_written_again(api: Api, tmp_path: Path) -> None:
    fill(api)
    parameters = parameters_of(time.time_ns(), **BODY)
    write(tmp_path, parameters)
    times = {path: path.stat().st_ino for path in (tmp_path / "files").rglob("*.parquet")}
    damaged = min(path for path in times if "symbol=MSFT" in path.parts)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    before = contents(tmp_path)
    write(tmp_path, parameters)
    written = {path for path, inode in times.items() if path.stat().st_ino != inode}
    assert damaged in written
    # The files before it are not made again.
    assert {path.parts[-3] for path in written} == {"symbol=MSFT"}
    after = contents(tmp_path)
    assert {path for path in after if after[path] != before[path]} == {
        str(damaged.relative_to(tmp_path / "files"))
    }


def test_later_commits_and_another_day_do_not_change_it(api: Api, tmp_path: Path, monkeypatch: Any) -> None:
    fill(api)
    for form in ("parquet", "arrow", "csv"):
        parameters = parameters_of(time.time_ns(), **BODY, format=form)
        result = write(tmp_path / form, parameters)
        for number in range(20):
            assert api.ingest(trade(timestamp=format_timestamp(START_NS + number))).status_code == 200
        with monkeypatch.context() as patch:
            now_ns = time.time_ns() + DAY_NS
            patch.setattr("jobs.exports.writing.time.time_ns", lambda now_ns=now_ns: now_ns)
            assert write(tmp_path / f"{form}-later", parameters) == result
        assert contents(tmp_path / f"{form}-later") == contents(tmp_path / form)


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv"])
def test_neither_merging_rows_nor_a_copy_in_another_store_changes_it(
    api: Api, tmp_path: Path, settings: Any, form: str
) -> None:
    """Some of the rows have fields that others lack."""
    rows = [trade(timestamp=format_timestamp(START_NS + number * DAY_NS // 70)) for number in range(21)]
    for number, row in enumerate(rows):
        if number % 3:
            row |= {"exchange": f"X{number}", "sequence": number, "trade_id": f"id-{number}"}
    for some in (rows[:9], rows[9:]):
        assert answer(api.ingest(*some))["stored"] == len(some)
    body = {"dataset": "trades", "symbols": ["AAPL"], "start": "2025-01-01", "end": "2025-01-02T21:00:00Z"}
    parameters = parameters_of(time.time_ns(), **body, format=form)
    result = write(tmp_path / "first", parameters)
    assert 9 < result["rows"] < 21
    origin = market_store()
    if isinstance(origin, MaintainedStore):
        origin.derive(TRADES, "AAPL", compact=True)
        assert write(tmp_path / "merged", parameters) == result
    options = {"path": tmp_path / "another store"}
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.store_settings.memory_store", "OPTIONS": options}}
    copy_log(origin.log(TRADES, "AAPL"), market_store().log(TRADES, "AAPL"))
    assert write(tmp_path / "copy", parameters) == result


def test_the_id_is_of_the_data_not_of_the_instant(api: Api, tmp_path: Path) -> None:
    fill(api)
    first = write(tmp_path / "1", parameters_of(time.time_ns(), **BODY))
    assert write(tmp_path / "2", parameters_of(time.time_ns(), **BODY)) == first
    assert api.ingest(trade(timestamp=format_timestamp(START_NS + 1))).status_code == 200
    assert write(tmp_path / "3", parameters_of(time.time_ns(), **BODY))["dataset"] != first["dataset"]


def test_a_log_that_is_another_one_is_told(api: Api, tmp_path: Path) -> None:
    fill(api)
    parameters = parameters_of(time.time_ns(), **BODY)
    with pytest.raises(JobCancelled):
        write(tmp_path, parameters, Interrupting(5))
    assert api.ingest(trade(timestamp=format_timestamp(START_NS + 1))).status_code == 200
    parameters["as_of"] = format_timestamp(time.time_ns())
    with pytest.raises(ResyncRequired, match="AAPL"):
        write(tmp_path, parameters)


@pytest.mark.usefixtures("small_pieces")
def test_an_export_goes_on_over_an_expiry_and_a_new_one_is_refused(api: Api, tmp_path: Path) -> None:
    fill(api)
    parameters = parameters_of(time.time_ns(), **BODY, format="csv")
    result = write(tmp_path / "alone", parameters)
    with pytest.raises(JobCancelled):
        write(tmp_path / "begun", parameters, Interrupting(8))
    store = market_store()
    expire(store, planned(store, TRADES, "AAPL", START_NS // DAY_NS * DAY_NS + 2 * DAY_NS))
    with pytest.raises(Expired, match="the trades of AAPL before 2025-01-04 have expired"):
        write(tmp_path / "begun", parameters)
    later = write(tmp_path / "later", parameters_of(time.time_ns(), **BODY | {"start": "2025-01-04"}))
    assert 0 < later["rows"] < result["rows"]


def test_a_log_that_was_cut_is_told(api: Api, tmp_path: Path, store_path: Path) -> None:
    fill(api)
    until_ns = market_store().log(TRADES, "AAPL").committed_at(1)
    assert api.ingest(trade(timestamp=format_timestamp(START_NS + 1))).status_code == 200
    parameters = parameters_of(time.time_ns(), **BODY)
    with pytest.raises(JobCancelled):
        write(tmp_path, parameters, Interrupting(5))
    store = cast("CsvStore", market_store())
    store.cut(TRADES, "AAPL", store.planned_cut(TRADES, "AAPL", until_ns))
    with pytest.raises(ResyncRequired, match="AAPL"):
        write(tmp_path, parameters)
