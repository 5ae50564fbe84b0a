"""Files that are small and cost much, and files that are damaged: refused at once, with short messages."""

import gzip
import io
import resource
import shutil
import struct
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.exceptions import JobCancelled
from jobs.uploads import importing
from jobs.uploads.importing import command_options
from tests.api_client import Api, answer, problem
from tests.jobs.uploads.sending import NAMES, ROWS, append, begin, begun, csv_of, file_in, imported
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.trades.imports.command import stored
from tests.trades.imports.parquet_files import forged_parquet
from trades.imports import run
from trades.imports.csv_file import CsvFile
from trades.imports.services import file_preview
from trades.management.import_command import file_and_options

pytestmark = pytest.mark.django_db
CONTENT = csv_of(ROWS)


def refusal(api: Api, content: bytes, **changes: Any) -> str:
    """Import a file, which is refused at the first attempt; return the message."""
    job = imported(api, content, **changes)
    error = job["error"]
    assert (job["state"], job["attempts"], error["code"]) == ("failed", 1, "upload_refused"), job
    assert len(error["message"]) <= 500
    assert stored("trades") == {}
    return str(error["message"])


def largest_child_mib() -> float:
    """Return the peak of the largest process that is ended, or of this one."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) / 1024


def null_columns(rows: int) -> bytes:
    """Return an Arrow stream whose columns have no bytes."""
    table, target = pa.table({name: pa.nulls(5) for name in NAMES}), io.BytesIO()
    with pa.ipc.new_stream(target, table.schema) as stream:
        stream.write_table(table)
    return target.getvalue().replace(struct.pack("<q", 5), struct.pack("<q", rows))


def test_damaged_parquet_is_refused_at_once(api: Api) -> None:
    """pyarrow raises OSError for a damaged page, as for a broken disk."""
    whole = file_in("parquet", ROWS)
    for damaged in (whole[:4] + bytes(56) + whole[60:], whole[:-60] + bytes(52) + whole[-8:], whole[:50]):
        assert "damaged" in refusal(api, damaged, format="parquet", dataset="trades")


def test_a_page_that_is_much_larger_than_its_file_is_not_decompressed(api: Api) -> None:
    """400 MiB of one text in 33 KB or less; the sizes in the footer say 500 bytes."""
    content = forged_parquet("x" * (400 * 2**20))
    assert len(content) < 50_000
    before = largest_child_mib()
    message = refusal(api, content, format="parquet", dataset="trades")
    assert "reading some rows takes more than" in message
    assert largest_child_mib() - before < 64


def test_long_lists_of_equal_words_are_refused(api: Api) -> None:
    """As many as need no byte in the file."""
    columns = {name: pa.array([value] * 100) for name, value in zip(NAMES, ROWS[0], strict=True)}
    words = pa.ListArray.from_arrays(range(0, 10_100_000, 100_000), pa.repeat("x", 10_000_000))
    target = io.BytesIO()
    pq.write_table(pa.table({**columns, "conditions": words}), target, compression="zstd")
    assert len(target.getvalue()) < 100_000
    message = refusal(api, target.getvalue(), format="parquet", dataset="trades")
    assert "reading some rows takes more than" in message


def test_rows_without_values_of_their_own_are_refused(api: Api) -> None:
    """Runs of equal values have no bytes for each row."""
    count = 3_000_000
    table = pa.table({name: pa.repeat(value, count) for name, value in zip(NAMES, ROWS[0], strict=True)})
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    assert len(target.getvalue()) < 100_000
    message = refusal(api, target.getvalue(), format="parquet", dataset="trades")
    assert "has 3,000,000 rows in" in message


@pytest.mark.parametrize("file_format", ["ndjson", "csv", "parquet"])
def test_a_file_has_at_most_1000_columns(api: Api, file_format: str) -> None:
    names = [f"n{number}" for number in range(1_001)]
    if file_format == "ndjson":
        content = b"".join(orjson.dumps({name: 1}) + b"\n" for name in names)
    elif file_format == "csv":
        content = f"{','.join(names)}\n{','.join('1' for _ in names)}\n".encode()
    else:
        target = io.BytesIO()
        pq.write_table(pa.table({name: [1] for name in names}), target)
        content = target.getvalue()
    assert "has 1,001 columns" in refusal(api, content, format=file_format)


@pytest.mark.parametrize("rows", [ROWS, sorted(ROWS)], ids=["sorted first", "stored as read"])
def test_a_part_of_the_disk_stays_free(api: Api, monkeypatch: pytest.MonkeyPatch, rows: list[Any]) -> None:
    content = csv_of(rows)
    free = type("Usage", (), {"free": 2**20, "total": 2**30})
    send = begun(api, content)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: free)
        assert "the disk has no space" in refusal(api, content)
    assert answer(append(api, send, 0, content))["complete"]


def test_the_rows_of_a_file_that_is_sorted_take_a_part_of_the_disk(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_LEAST_SORTED_BYTES", 1)
    monkeypatch.setattr(run, "_SORTED_PER_BYTE", 1)
    assert "the sorted rows need more than" in refusal(api, CONTENT)


def test_a_file_of_bad_rows_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad rows of a kind are not even looked for, once there are too many of them."""
    monkeypatch.setattr("trades.imports.services.BAD_ROWS_LIMIT", 10)
    monkeypatch.setattr(run, "BAD_ROWS_LIMIT", 10)
    good, options = csv_of([ROWS[0]] * 5), {"yes": True, "skip_bad": True}
    kinds = b"2025-01-02T14:30:00Z,AAPL,-1,1\n", b"x,AAPL,1,1\n"
    for row in kinds:
        message = refusal(api, gzip.compress(good + 11 * row), options=options)
        assert "more than 10 rows are bad, such as line 7" in message
    for row in kinds:
        assert imported(api, good + 10 * row, options=options)["result"]["bad"] == 10


def test_an_encoding_that_does_not_fit_refuses_the_file(api: Api) -> None:
    refusal(api, CONTENT, dataset="trades", options={"encoding": "utf-16"})


def test_messages_are_short(api: Api) -> None:
    refusal(api, b"a" * 60_000 + b",b,c\n1,2,3\n")
    assert "\0" not in refusal(api, file_in("parquet", ROWS)), "PostgreSQL cannot store it"
    assert "line 2" in refusal(api, b"timestamp,symbol,price,volume\n1,A,1,1\n")


def test_results_show_some_symbols(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_SYMBOLS_SHOWN", 1)
    result = imported(api, CONTENT)["result"]
    assert [each["symbol"] for each in result["symbols"]] == ["AAPL"]
    assert (result["symbols_left_out"], result["stored"]) == (1, 3)


def test_a_compressed_piece_is_415(api: Api) -> None:
    path = begun(api, CONTENT)
    piece = {"content_type": "application/octet-stream", "Upload_Offset": "0", "Content_Encoding": "gzip"}
    refused = api.call("PATCH", path, gzip.compress(CONTENT), **piece)
    assert problem(refused) == (415, "unsupported_media_type")
    assert answer(api.get(path))["offset"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"timezone": "Mars/X"}},
        {"symbol": "../x"},
        {"options": {"encoding": "x"}},
        {"options": {"quote": "\n"}},
    ],
    ids=str,
)
def test_options_that_fit_no_file_are_refused_before_it_is_sent(api: Api, changes: dict[str, Any]) -> None:
    assert problem(begin(api, CONTENT, **changes)) == (422, "validation_failed")


def test_uploads_whose_jobs_have_ended_do_not_count(api: Api, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = len(CONTENT)
    for _ in range(4):
        assert imported(api, b"x" * len(CONTENT))["state"] == "failed"


HEAD = csv_of(ROWS)
LARGE = {
    "newlines": (gzip.compress(HEAD + b"\n" * 24_000_000), "x.csv.gz", "blank lines up to line"),
    "equal rows": (
        pa.compress(HEAD + b"2025-01-02T14:30:00Z,AAPL,1,1\n" * 700_000, "zstd", asbytes=True), "x.csv.gz", "the text is more than 250 times",
    ),
    "fewer newlines": (HEAD + b"\n" * 1_500_000, "x.csv", "blank lines up to line"),
    "newlines of NDJSON": (file_in("ndjson", ROWS) + b"\n" * 18_000_000, "x.ndjson", "bytes of blank lines"),
    "spaces of JSON": (gzip.compress(b"[" + b" " * 70_000_000 + b"]"), "x.json.gz", "250 times as large"),
    "objects of JSON": (
        gzip.compress(b'{"trades":{"A":[' + b"{}," * 3_000_000 + b"{}]}}"), "x.json.gz", "takes more than",
    ),
    "null columns": (null_columns(2**31 - 1), "x.arrow", "rows in as many bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "name", "message"), LARGE.values(), ids=LARGE)
def test_small_files_of_large_texts_are_refused(api: Api, content: bytes, name: str, message: str) -> None:
    began = time.monotonic()
    assert message in refusal(api, content, name=name, format=None, dataset="trades")
    assert time.monotonic() - began < PATIENCE_SECONDS


@pytest.mark.seconds
@pytest.mark.parametrize(
    "member", [gzip.compress(b""), pa.compress(b"", "zstd", asbytes=True)], ids=["gzip", "zstd"]
)
def test_empty_members_take_as_long_as_other_bytes(api: Api, member: bytes) -> None:
    """Python's reader of gzip takes 80 µs for one of 20 bytes."""
    pack = gzip.compress if member[:1] == b"\x1f" else partial(pa.compress, codec="zstd", asbytes=True)
    content = pack(HEAD) + member * 100_000 + pack(csv_of(ROWS[:1]).partition(b"\n")[2])
    began = time.process_time()
    assert (
        imported(api, content, name="x.csv.gz", format=None, dataset="trades")["result"]["rows"]
        == len(ROWS) + 1
    )
    assert is_kept(5, time.process_time() - began)


@pytest.mark.parametrize("line", [b",\n", b",,,\n", b'",\n'], ids=str)
def test_short_lines_are_read_in_parts(tmp_path: Path, line: bytes) -> None:
    """A wrong line has a message of its own, which takes a kilobyte: two million at once took gigabytes."""
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(HEAD + line * 1_000_000))
    file, _ = file_and_options(path, command_options({"dataset": "trades"}))
    pieces = list(islice(file.pieces(file.names), 2))
    assert len(pieces) == 2
    for piece in pieces:
        assert 50_000 < len(piece.cells) + len(piece.bad) <= 65_536


def test_the_end_of_a_file_of_short_lines_is_after_its_first_part(tmp_path: Path) -> None:
    """The first part is smaller than 4 MiB; no row is shown twice, and the last rows are shown."""
    path = tmp_path / "x.csv"
    rows = b"".join(b"1735828200%03d,A,1,1\n" % (number % 1000) for number in range(80_000))
    path.write_bytes(b"timestamp,symbol,price,volume\n" + rows)
    file = CsvFile(path)
    first = next(file.pieces(file.names))
    last = file.last_piece(file.names)
    assert last is not None
    assert first.lines[-1] < last.lines[0]
    assert last.cells["timestamp"][-1].as_py() == "1735828200999"


def test_a_preview_of_bad_rows_ends_when_its_job_is_cancelled(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preview looks for the last rows, and reads the whole compressed file."""
    path, pieces = tmp_path / "x.csv.gz", []
    path.write_bytes(gzip.compress(HEAD + b"2025-01-02T14:30:00Z,AAPL,1,1\n" * 400_000))

    def check() -> None:
        pieces.append(1)
        if len(pieces) > 2:
            raise JobCancelled

    file, options = file_and_options(path, command_options({}), check)
    with pytest.raises(JobCancelled):
        file_preview(file=file, options=options).document()
    assert len(pieces) == 3
