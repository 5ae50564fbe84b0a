"""CSV, NDJSON and MessagePack: what each takes, and what breaks it costs little and is refused with its own code."""

import time
from typing import Any

import msgspec
import pytest

from tests.patience import is_kept
from tests.trades.formats.bodies import CSV, MSGPACK, NDJSON
from trades.batches.row_batch import BatchOptions
from trades.formats import READERS
from web.requests.exceptions import RequestError

HEADER = b"timestamp,symbol,price,volume\n"
LINE = b"2025-01-02T14:30:00Z,AAPL,1.5,100\n"
ROW = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", "price": 1.5, "volume": 100}
NOON_NS = 1_735_819_200_000_000_000
PROCESSOR_SECONDS = 2.0


def read(media_type: str, body: bytes, **options: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = READERS[media_type](body, BatchOptions(**options)).rows.to_pydict()
    return found


def refusal(media_type: str, body: bytes) -> tuple[str, set[tuple[str, str]]]:
    with pytest.raises(RequestError) as refused:
        read(media_type, body)
    return refused.value.code, {(error.path, error.code) for error in refused.value.errors}


def pack(*rows: Any) -> bytes:
    return msgspec.msgpack.encode({"trades": rows})


def many(count: int, item: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + item * count


@pytest.mark.parametrize(
    "cell",
    ["1_000", " 1 ", "NaN", "-inf", "\uff11", "0x10", "1,5", "1e", "true"],
    ids=ascii,
)  # fmt: skip
def test_what_only_seems_a_number_is_none(cell):
    quoted = f'"{cell}"' if "," in cell else cell
    body = HEADER + f"2025-01-02T14:30:00Z,AAPL,{quoted},100\n".encode()
    assert refusal(CSV, body) == ("validation_failed", {("trades[0].price", "invalid_type")})


@pytest.mark.parametrize(
    ("cell", "code"),
    [("1e999", "out_of_range"), ("9007199254740993", "out_of_range"), ("9" * 400, "out_of_range"), ("", "null"),
     ("0", "nonpositive_price"), ("-0.0", "nonpositive_price"), ("1e-999", "nonpositive_price")],
)  # fmt: skip
def test_a_number_that_cannot_be_a_price_is_named(cell, code):
    body = HEADER + LINE + f"2025-01-02T14:30:00Z,AAPL,{cell},100\n".encode()
    assert refusal(CSV, body)[1] == {("trades[1].price", code)}


@pytest.mark.parametrize("cells", ['"AA"PL,1', '"AAPL,1', 'A"A"PL,1', '"A""PL,1', 'AAPL,"1""'])
def test_a_stray_quotation_mark_is_refused_with_its_line(cells):
    good = HEADER + b"\n" + b'2025-01-02T14:30:00Z,"AAPL",1.5,"100"\n' * 3
    assert len(read(CSV, good)["price"]) == 3
    with pytest.raises(RequestError, match=r"^line 6: a quotation mark") as refused:
        read(CSV, good + f"2025-01-02T14:30:00Z,{cells},1\n".encode() + LINE)
    assert refused.value.code == "malformed_csv"


@pytest.mark.parametrize("cell", ["0x10", "1.0", "-1", " 1", "9007199254740993"])
def test_what_is_no_count_is_refused(cell):
    body = b"timestamp,symbol,price,volume,sequence\n" + LINE.rstrip() + f",{cell}\n".encode()
    assert {path for path, _ in refusal(CSV, body)[1]} == {"trades[0].sequence"}


@pytest.mark.parametrize(
    "body",
    [
        HEADER + LINE, HEADER + LINE.rstrip(), b"\xef\xbb\xbf" + HEADER + LINE, (HEADER + LINE).replace(b"\n", b"\r\n"),
        (HEADER + LINE).replace(b"\n", b"\r"), HEADER + b"\n\n" + LINE + b"\n", HEADER + b'"2025-01-02T14:30:00Z","AAPL","1.5","100"\n',
        b'"timestamp","symbol","price","volume"\n' + LINE, b"volume,price,symbol,timestamp\n100,1.5,aapl,2025-01-02T14:30:00Z",
        b"timestamp,symbol,price,volume,exchange\n" + LINE.rstrip() + b",\n",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_file_may_be_written_in_many_ways(body):
    found = read(CSV, body)
    assert (found["price"], found["volume"], found["exchange"]) == ([1.5], [100.0], [None])


def test_a_formulas_apostrophe_is_taken_off_and_others_stay():
    header = HEADER.rstrip() + b",trade_id\n"
    ids = ["'=1+1", "'-a", "''a", "'a", "a'", '"""a,b"""']
    body = header + b"".join(LINE.rstrip() + f",{text}\n".encode() for text in ids)
    assert read(CSV, body)["trade_id"] == ["=1+1", "-a", "'a", "'a", "a'", '"a,b"']


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_csv"), (b"\n", "malformed_csv"), (HEADER + b"1,2\n", "malformed_csv"), (HEADER + LINE + b'"1,2,3,4\n', "malformed_csv"),
        (HEADER + b'2025-01-02T14:30:00Z,AA"PL",1,1\n', "malformed_csv"), (HEADER + b'2025-01-02T14:30:00Z,"AA"PL,1,1\n', "malformed_csv"),
        (HEADER + LINE.replace(b"AAPL", b"\xff"), "malformed_csv"), ((HEADER + LINE).decode().encode("utf-16"), "malformed_csv"),
        (b"timestamp,symbol,price,price\n" + LINE, "duplicate_key"), (HEADER, "empty_batch"), (b"timestamp,symbol,price\n1,2,3\n", "validation_failed"),
        (HEADER.replace(b"price", b"prise") + LINE, "validation_failed"), (b"\x00" * 100, "validation_failed"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_file_that_is_none_is_refused(body, code):
    assert refusal(CSV, body)[0] == code


def test_a_missing_and_an_unknown_column_are_named():
    assert refusal(CSV, HEADER.replace(b"price", b"prise") + LINE)[1] == {
        ("price", "required"), ("prise", "unknown_field"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        (b'{"a":1}\n{bad\n', "malformed_ndjson", "line 2"), (b'\n\n{"a":1}{"a":1}\n', "malformed_ndjson", "line 3"),
        (b'{"a":\n1}\n', "malformed_ndjson", "line 1"), (b'{"a":1}\n{"a":1,"a":2}\n', "duplicate_key", "line 2"),
        (b'{"a":1},{"a":1}\n', "malformed_ndjson", "line 1"), (b'{"a":"\xff"}', "malformed_ndjson", "line 1"),
        (b"[" * 600, "nesting_too_deep", "line 1"), (b'{"a":NaN}', "malformed_ndjson", "line 1"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_malformed_line_is_named(body, code, line):
    with pytest.raises(RequestError, match=line) as refused:
        read(NDJSON, body)
    assert refused.value.code == code


def test_empty_lines_are_passed_over_and_places_count_rows():
    good = msgspec.json.encode(ROW)
    assert read(NDJSON, b"\n" + good + b"\r\n  \n" + good + b"\n")["price"] == [1.5, 1.5]
    bad = msgspec.json.encode(ROW | {"price": "1"})
    assert refusal(NDJSON, b"\n" + good + b"\n\n" + bad)[1] == {("trades[1].price", "invalid_type")}


def test_times_in_msgpack_may_be_nanoseconds():
    assert read(MSGPACK, pack(ROW | {"timestamp": NOON_NS}, ROW))["timestamp"][0] == NOON_NS
    columns = {name: [value] for name, value in ROW.items()} | {"timestamp": [NOON_NS]}
    assert read(MSGPACK, msgspec.msgpack.encode(columns))["timestamp"] == [NOON_NS]


@pytest.mark.parametrize("instant", [-(2**63), 2**63, 2**64 - 1, 1_735_819_200 * 10**10])
def test_nanoseconds_that_are_out_of_range_are_named(instant):
    errors = refusal(MSGPACK, pack(ROW | {"timestamp": instant}))[1]
    assert errors == {("trades[0].timestamp", "timestamp_out_of_range")}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_msgpack"), (b"\xc1", "malformed_msgpack"), (pack(ROW)[:-1], "malformed_msgpack"), (pack(ROW) + b"\0", "malformed_msgpack"),
        (b"\xdf\xff\xff\xff\xff", "malformed_msgpack"), (b"\x81\xa6trades\xdd\xff\xff\xff\xff", "malformed_msgpack"),
        (msgspec.msgpack.encode({1: 2}), "malformed_msgpack"), (pack({1: 2}), "malformed_msgpack"),
        (pack(ROW).replace(b"AAPL", b"AA\xffL"), "malformed_msgpack"),
        (pack(ROW).replace(b"\x84", b"\x85", 1) + b"\xa5price\x01", "duplicate_key"),
        (b"\x82\xa6trades\x90\xa6trades\x90", "duplicate_key"), (b"\x81\xa6trades" + b"\x91" * 100_000, "nesting_too_deep"),
        (b"\xc0", "validation_failed"), (b"\x90", "validation_failed"), (pack(), "empty_batch"), (pack(None), "validation_failed"),
        (msgspec.msgpack.encode({"trades": [], "extra": 1}), "unknown_field"),
        (msgspec.msgpack.encode({"timestamp": ["x", "y"], "symbol": ["A"], "price": [1], "volume": [1]}), "unequal_columns"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_document_that_is_none_is_refused(body, code):
    assert refusal(MSGPACK, body)[0] == code


def test_unknown_keys_of_any_depth_are_passed_over_when_asked():
    body = pack(ROW | {"deep": [[{"a": None}]], "more": b"x"})
    assert read(MSGPACK, body, ignore_unknown=True)["price"] == [1.5]
    assert refusal(MSGPACK, body)[0] == "unknown_field"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (CSV, HEADER + b"1" * 10_000_000 + b",A,1,1\n"), (CSV, HEADER + LINE.replace(b"1.5", b"9" * 10_000_000)),
        (CSV, b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n"), (CSV, b"a" * 10_000_000), (CSV, HEADER + b"\n" * 10_000_000),
        (CSV, HEADER + b",,,\n" * 2_000_000), (CSV, HEADER + b'"' * 10_000_000), (CSV, HEADER + b"x,x,x,x\n" * 100_000),
        (NDJSON, b"\n" * 10_000_000), (NDJSON, b"1\n" * 100_000), (NDJSON, b"{}\n" * 100_000), (NDJSON, msgspec.json.encode(ROW) + b"\n[" * 50_000),
        (MSGPACK, b"\x81\xa6trades" + many(10_000_000, b"\x90")), (MSGPACK, b"\x81\xa6trades" + many(100_000, b"\x80")),
        (MSGPACK, pack(ROW).replace(b"\xa4AAPL", many(10_000_000, b"\x90"))), (MSGPACK, many(10_000_000, b"\x80")),
        (MSGPACK, b"\x84" + b"".join(b"%b%b" % (msgspec.msgpack.encode(name), many(50_000, b"\x90")) for name in ROW)),
        (MSGPACK, b"\xdf\x00\x0f\x42\x40" + b"".join(b"\xa7%07d\x01" % n for n in range(1_000_000))),
    ],
    ids=lambda value: value if isinstance(value, str) else ascii(value[:24]),
)  # fmt: skip
@pytest.mark.system
@pytest.mark.seconds
def test_a_bomb_costs_little_and_its_answer_is_short(media_type, body):
    began = time.process_time()
    with pytest.raises(RequestError) as refused:
        read(media_type, body)
    assert is_kept(PROCESSOR_SECONDS, time.process_time() - began)
    assert len(str(refused.value)) < 500
    assert sum(len(error.path) + len(error.message) for error in refused.value.errors) < 50_000
