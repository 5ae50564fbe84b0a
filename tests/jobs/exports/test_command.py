"""`manage.py export`."""

import io
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from django.core.management import CommandError, call_command

from jobs.exports.files import file_sha256
from jobs.exports.writing import ExportWriter
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


PART = ("trades", "AAPL,MSFT", "--start", "2025-01-02T14:30:00", "--end", "2025-01-02T14:30:01")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("trades", "AAPL,MSFT"), PART),
        (("trades", "AAPL,MSFT"), ("trades", "AAPL", "--format", "csv")),
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
    arguments = ("trades", "AAPL,MSFT", "--out", str(tmp_path / "out"))

    def write_meanwhile(_: ExportWriter) -> dict[str, Any]:
        with pytest.raises(CommandError, match="another process"):
            export(*arguments)
        return {"rows": 1, "files": 2, "dataset": "x"}

    monkeypatch.setattr(ExportWriter, "write", write_meanwhile)
    assert export(*arguments) == "1 rows in 2 files, data set x\n"


def test_a_refused_export_leaves_the_folder_to_the_next_one(filled: Api, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="NOWHERE"):
        export("trades", "NOWHERE", "--out", str(tmp_path / "out"))
    assert export("trades", "AAPL", "--out", str(tmp_path / "out")).startswith("18 rows")


@pytest.mark.parametrize("out", ["/proc/x", "/dev/null", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_an_error(filled: Api, out: str) -> None:
    with pytest.raises(CommandError, match=out):
        export("trades", "AAPL", "--out", out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("trades", "NOWHERE"),
        ("trades", "../x"),
        ("trades", "AAPL", "--start", "x"),
        ("trades", "AAPL", "--hours", "x"),
    ],
)
def test_what_cannot_be_exported_is_an_error(filled: Api, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        export(*arguments, "--out", str(tmp_path / "out"))
