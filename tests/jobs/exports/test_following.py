"""`manage.py export`, and a Parquet tree that is kept current by new commits only."""

import io
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from jobs.exports.files import file_sha256
from jobs.exports.following import ExportFollower
from jobs.exports.query import ExportQuery
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, trade
from tests.jobs.exports.exported import contents, parameters_of, write

pytestmark = pytest.mark.django_db
FIRST_NS = parse_timestamp("2025-01-02T14:30:00Z")
DATES = 6


@pytest.fixture
def filled(api: Api) -> Api:
    """Trades of two symbols on six dates."""
    for symbol in ("AAPL", "MSFT"):
        rows = [
            trade(
                symbol=symbol,
                timestamp=format_timestamp(FIRST_NS + day * DAY_NS + number * 10**9),
                price=100 + day,
            )
            for day in range(DATES)
            for number in range(3)
        ]
        assert answer(api.ingest(*rows))["stored"] == 3 * DATES
    return api


def export(*arguments: str) -> str:
    out = io.StringIO()
    call_command("export", *arguments, stdout=out)
    return out.getvalue()


def query_of(**body: Any) -> ExportQuery:
    parameters = parameters_of(time.time_ns(), **body)
    del parameters["as_of"]
    return ExportQuery.of(parameters)


SUBJECTS = {
    "trades": {"dataset": "trades", "symbols": ["AAPL", "MSFT"]},
    "minutes": {"dataset": "ohlcv", "symbols": ["AAPL", "MSFT"], "resolution": "1m"},
    "days": {"dataset": "ohlcv", "symbols": ["AAPL", "MSFT"], "resolution": "1d"},
    "part": {"dataset": "trades", "symbols": ["AAPL"], "start": "2025-01-02T14:30:01Z", "end": "2025-01-05"},
}


class Tree:
    """A followed tree, beside what an export of the same query writes."""

    def __init__(self, folder: Path, body: dict[str, Any]) -> None:
        self._folder, self._body, self._count = folder, body, 0
        self._follower = self._made()

    def _made(self) -> ExportFollower:
        return ExportFollower(query_of(**self._body), out=self._folder / "files", work=self._folder / "work")

    def update(self) -> set[str]:
        """Bring the tree up to date; return the paths of the files that were written, without `part-0.parquet`."""
        before = {path: path.stat().st_ino for path in (self._folder / "files").rglob("*.parquet")}
        count = self._follower.update(now_ns=time.time_ns())
        after = {path: path.stat().st_ino for path in (self._folder / "files").rglob("*.parquet")}
        written = {path for path, inode in after.items() if before.get(path) != inode}
        assert count == len(written)
        self._count += 1
        beside = self._folder / str(self._count)
        write(beside, parameters_of(time.time_ns(), **self._body))
        expected = {path: data for path, data in contents(beside).items() if path != "manifest.json"}
        assert contents(self._folder) == expected
        return {str(path.parent.relative_to(self._folder / "files")).partition("/")[2] for path in written}

    def restart(self) -> None:
        self._follower = self._made()


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_tree_is_what_an_export_would_write(filled: Api, tmp_path: Path, name: str) -> None:
    tree = Tree(tmp_path, SUBJECTS[name])
    assert tree.update()
    assert tree.update() == set()
    # A late trade, one of a new date, a cancelled one, and all of a date.
    assert filled.ingest(trade(timestamp=format_timestamp(FIRST_NS + DAY_NS + 1))).status_code == 200
    tree.update()
    assert filled.ingest(trade(timestamp=format_timestamp(FIRST_NS + 30 * DAY_NS))).status_code == 200
    tree.restart()
    tree.update()
    for number in range(3):
        of_day = format_timestamp(FIRST_NS + 5 * DAY_NS + number * 10**9)
        cancel = {"action": "cancel", "timestamp": of_day, "price": 105, "volume": 100}
        assert filled.correct(cancel).status_code == 200
        tree.update()
    assert not (tmp_path / "files" / "trades" / "symbol=AAPL" / "date=2025-01-07").exists()
    assert tree.update() == set()


def test_only_the_dates_that_a_commit_touches_are_written(filled: Api, tmp_path: Path) -> None:
    tree = Tree(tmp_path, SUBJECTS["trades"])
    assert len(tree.update()) == 2 * DATES
    assert filled.ingest(trade(timestamp=format_timestamp(FIRST_NS + DAY_NS + 1))).status_code == 200
    assert tree.update() == {"symbol=AAPL/date=2025-01-03"}
    tree.restart()
    assert tree.update() == set()
    rows = [trade(symbol="MSFT", timestamp=format_timestamp(FIRST_NS + day * DAY_NS + 1)) for day in (0, 4)]
    assert answer(filled.ingest(*rows))["stored"] == 2
    assert tree.update() == {"symbol=MSFT/date=2025-01-02", "symbol=MSFT/date=2025-01-06"}


def test_bars_that_were_not_final_are_written_again(api: Api, tmp_path: Path) -> None:
    now_ns = time.time_ns()
    row = trade(timestamp=format_timestamp(now_ns // 10**9 * 10**9 - 10**9))
    assert answer(api.ingest(row))["stored"] == 1
    body = {"dataset": "ohlcv", "symbols": ["AAPL"], "resolution": "1h"}
    follower = ExportFollower(query_of(**body), out=tmp_path / "files", work=tmp_path / "work")
    assert follower.update(now_ns=time.time_ns()) == 1
    assert follower.update(now_ns=time.time_ns()) == 0
    assert follower.update(now_ns=now_ns + 2 * 3_600 * 10**9) == 1


def test_the_command_writes_what_a_job_writes(filled: Api, tmp_path: Path) -> None:
    body = {
        "dataset": "ohlcv",
        "symbols": ["AAPL", "MSFT"],
        "resolution": "1m",
        "start": "2025-01-01",
        "hours": "all",
    }
    expected = write(tmp_path / "job", parameters_of(time.time_ns(), **body))
    out = tmp_path / "out"
    said = export(
        "ohlcv", "AAPL,MSFT", "--resolution", "1m", "--start", "2025-01-01", "--hours", "all", "--out", str(out)
    )  # fmt: skip
    assert said == f"{expected['rows']} rows in {expected['files']} files, data set {expected['dataset']}\n"
    written = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert written == contents(tmp_path / "job")


def test_the_command_goes_on_after_an_interruption(filled: Api, tmp_path: Path, monkeypatch: Any) -> None:
    calls = 0

    def interrupt(*_: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*_)

    original = file_sha256
    monkeypatch.setattr("jobs.exports.files.file_sha256", interrupt)
    arguments = ("trades", "AAPL,MSFT", "--out", str(tmp_path / "out"))
    with pytest.raises(KeyboardInterrupt):
        export(*arguments)
    as_of = orjson.loads((tmp_path / "out" / ".export" / "parameters.json").read_bytes())["parameters"][
        "as_of"
    ]
    assert filled.ingest(trade(timestamp=format_timestamp(FIRST_NS + 1))).status_code == 200
    assert export(*arguments).startswith("36 rows in 13 files")
    assert as_of
    assert not (tmp_path / "out" / ".export").exists()
    with pytest.raises(CommandError, match="take an empty folder"):
        export(*arguments)


TREE = ("trades", "AAPL,MSFT", "--follow", "--once")
PART = ("trades", "AAPL,MSFT", "--start", "2025-01-02T14:30:00", "--end", "2025-01-02T14:30:01")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("trades", "AAPL,MSFT"), PART),
        (("trades", "AAPL,MSFT"), ("trades", "AAPL", "--format", "csv")),
        (("trades", "AAPL,MSFT"), TREE),
        (TREE, ("trades", "AAPL,MSFT")),
        (TREE, (*TREE, "--fields", "timestamp,price")),
        (TREE, ("trades", "AAPL", "--follow", "--once")),
    ],
)
def test_a_folder_of_something_else_is_left_as_it_is(
    filled: Api, tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    export(*first, "--out", str(tmp_path / "files"))
    before = contents(tmp_path)
    with pytest.raises(CommandError, match="take an empty folder"):
        export(*second, "--out", str(tmp_path / "files"))
    assert contents(tmp_path) == before


def test_a_folder_with_an_unfinished_export_is_left_to_it(
    filled: Api, tmp_path: Path, monkeypatch: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("jobs.exports.files.file_sha256", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export("trades", "AAPL,MSFT", "--out", str(tmp_path / "out"))
    with pytest.raises(CommandError, match="take an empty folder"):
        export(*PART, "--out", str(tmp_path / "out"))
    assert export("trades", "AAPL,MSFT", "--out", str(tmp_path / "out")).startswith("36 rows")


def test_one_process_at_a_time_writes_into_a_folder(filled: Api, tmp_path: Path, monkeypatch: Any) -> None:
    refused = []

    def update(_: ExportFollower, *, now_ns: int) -> int:
        with pytest.raises(CommandError, match="another process"):
            export(*TREE, "--out", str(tmp_path / "out"))
        refused.append(now_ns)
        return 0

    monkeypatch.setattr(ExportFollower, "update", update)
    export(*TREE, "--out", str(tmp_path / "out"))
    assert len(refused) == 1


def test_a_refused_export_leaves_the_folder_to_the_next_one(filled: Api, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="NOWHERE"):
        export("trades", "NOWHERE", "--out", str(tmp_path / "out"))
    assert export("trades", "AAPL", "--out", str(tmp_path / "out")).startswith("18 rows")


@pytest.mark.parametrize("out", ["/proc/x", "/dev/null", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_an_error(filled: Api, out: str) -> None:
    with pytest.raises(CommandError, match=out):
        export("trades", "AAPL", "--out", out)


def test_the_command_follows(filled: Api, tmp_path: Path) -> None:
    arguments = ("trades", "AAPL,MSFT", "--out", str(tmp_path / "out"), "--follow", "--once")
    assert export(*arguments).endswith(": 12 files were written\n")
    assert export(*arguments).endswith(": 0 files were written\n")
    assert filled.ingest(trade(timestamp=format_timestamp(FIRST_NS + 1))).status_code == 200
    assert export(*arguments).endswith(": 1 files were written\n")
    assert pq.read_table(tmp_path / "out" / "trades").num_rows == 37


@pytest.mark.parametrize(
    "arguments",
    [
        ("trades", "NOWHERE"),
        ("trades", "../x"),
        ("trades", "AAPL", "--start", "x"),
        ("trades", "AAPL", "--hours", "x"),
        ("trades", "AAPL", "--follow", "--format", "csv"),
        ("trades", "AAPL", "--follow", "--as-of", "2025-01-02"),
        ("corporate-actions", "AAPL", "--follow"),
    ],
)
def test_what_cannot_be_exported_is_an_error(filled: Api, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        export(*arguments, "--out", str(tmp_path / "out"))
