"""Errors of rows in CSV bodies name the line of the file."""

import time

import pytest

from tests.api_client import Api, answer, problem
from tests.patience import is_kept
from trades.batches.row_batch import BatchOptions
from trades.exceptions import BatchRefused
from trades.formats import READERS
from trades.formats.csv_body import LINES_LIMIT, lines_named
from trades.formats.csv_cells import row_lines
from web.requests.exceptions import MalformedDocument

HEADER = b"timestamp,symbol,price,volume,trade_id\n"
GOOD = b"2025-01-02T14:30:00Z,AAPL,1.5,100,\n"
QUOTED = b'2025-01-02T14:30:01Z,AAPL,1.5,100,"a\nb"\n'


def sent(api: Api, body: bytes, query: str = "unknown=ignore") -> tuple[tuple[int, str], str, list[str]]:
    response = api.ingest(body, content_type="text/csv", query=query)
    found = answer(response)
    return problem(response), found["message"], [each["message"] for each in found.get("errors", [])]


@pytest.mark.parametrize(
    ("before", "line"),
    [(b"", 2), (GOOD, 3), (b"\n" + GOOD + b"\r\n", 5), (GOOD * 2, 4)],
    ids=["first", "second", "empty lines", "third"],
)
def test_a_wrong_value_names_its_line(api: Api, before: bytes, line: int):
    status, message, messages = sent(api, HEADER + before + GOOD.replace(b"1.5", b"x") + GOOD)
    assert status == (422, "validation_failed")
    assert message.startswith(f"line {line}: trades[")
    assert [each.split(":")[0] for each in messages] == [f"line {line}"]


def test_a_conflict_with_a_stored_row_names_its_line(api: Api):
    row = GOOD.replace(b",\n", b",7\n")
    assert api.ingest(HEADER + row, content_type="text/csv").status_code == 200
    status, message, _ = sent(api, HEADER + GOOD + row.replace(b"1.5", b"2.5"))
    assert status == (422, "trade_id_conflict")
    assert message.startswith("line 3: ")


def test_a_row_of_too_many_cells_names_its_line(api: Api):
    status, message, _ = sent(api, HEADER + GOOD + b"\n" + GOOD + b"1,2,3,4,5,6\n")
    assert status == (400, "malformed_csv")
    assert "line 5: Expected 5 columns, got 6" in message


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_the_last_cell_may_be_empty_after_one_in_quotation_marks(end: bytes):
    body = HEADER + GOOD.replace(b",100,\n", b',"100",') + end
    (row,) = READERS["text/csv"](body, BatchOptions()).rows.to_pylist()
    assert (row["volume"], row["trade_id"]) == (100.0, None)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_empty_lines_and_line_ends_in_quoted_cells_count(end: bytes):
    body = (b"\xef\xbb\xbf" + HEADER + b"\n" + GOOD + QUOTED + b"\n\n" + QUOTED + GOOD).replace(b"\n", end)
    assert row_lines(body, 9) == [1, 3, 4, 8, 10]
    assert row_lines(body, 2) == [1, 3]
    assert row_lines(body, 9, is_quoted=False) == [1, 3, 4, 5, 8, 9, 10]


def test_a_long_cell_does_not_end_the_count(api: Api):
    long = GOOD.replace(b",\n", b"," + b"7" * 200_000 + b"\n")
    status, message, _ = sent(api, HEADER + GOOD + long + GOOD + b"1,2,3,4,5,6\n")
    assert status == (400, "malformed_csv")
    assert "line 5: Expected 5 columns, got 6" in message


@pytest.mark.seconds
@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_the_lines_of_many_empty_lines_are_counted_soon(end: bytes):
    body = HEADER + end * (LINES_LIMIT - 2) + GOOD
    began = time.process_time()
    with pytest.raises(BatchRefused, match=f"line {LINES_LIMIT}: "), lines_named(body):
        READERS["text/csv"](body.replace(b"1.5", b"x"), BatchOptions())
    assert is_kept(1, time.process_time() - began)
    with pytest.raises(MalformedDocument, match="more than 1,000,000 lines"):
        READERS["text/csv"](body + end, BatchOptions())


def test_errors_of_other_formats_and_of_columns_name_no_line(api: Api):
    response = api.ingest(b"price\n1\n", content_type="text/csv")
    assert {each["path"] for each in answer(response)["errors"]} == {"timestamp", "symbol", "volume"}
    assert "line" not in answer(response)["message"]
