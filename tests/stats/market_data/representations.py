"""Every representation of an answer, read back."""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from tests.stats.market_data.oracle import Row

MEDIA_TYPES = {
    "json": "application/json",
    "columnar": "application/vnd.marketdata.columnar+json",
    "msgpack": "application/msgpack",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
ENVELOPES = ("json", "columnar", "msgpack")
TEXTS = {
    "exchange",
    "trade_id",
    "status",
    "date",
    "reason",
    "symbol",
    "state",
    "forward_source",
    "rate_source",
}
TIMES = {"timestamp", "received_at", "spot_timestamp"}
# Lists beside the columns.
HEAD = {"symbols", "absences"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_LINK = re.compile(r'<([^>]*)>;\s*rel="(\w+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """An answer's rows, with instants in nanoseconds under their columns' names, and what stands around them."""

    rows: list[Row]
    next_cursor: str | None
    prev_cursor: str | None
    envelope: dict[str, Any]


def decoded(response: Any, name: str, rows_name: str, *, unit_ns: int = 1) -> Page:
    """The page that a response says, by the format that it was asked for in.

    rows_name: `bars`, `trades`, ... unit_ns: in what instants are written where rows are columns.
    """
    assert response.status_code == 200, response.content
    assert response["Content-Type"].split(";")[0] == MEDIA_TYPES[name]
    cursors = cursors_of(response, name)
    if name not in ENVELOPES:
        return Page(FLAT[name](response.content), *cursors, {})
    document = document_of(response, name)
    rows = nested(document.pop(rows_name)) if name == "json" else columns(document, unit_ns)
    return Page(rows, *cursors, document)


def document_of(response: Any, name: str) -> dict[str, Any]:
    """What stands in a format with an envelope."""
    decode = msgspec.msgpack.decode if name == "msgpack" else json.loads
    document: dict[str, Any] = decode(response.content)
    return document


def cursors_of(response: Any, name: str) -> tuple[str | None, str | None]:
    """The cursors of the next page and of the one before."""
    if name in ENVELOPES:
        document = document_of(response, name)
        return document["next_cursor"], document["prev_cursor"]
    links = _LINK.findall(response.headers.get("Link", ""))
    cursors = {relation: cursor_in(target) for target, relation in links}
    return cursors.get("next"), cursors.get("prev")


def cursor_in(target: str) -> str:
    (cursor,) = re.findall(r"[?&]cursor=([A-Za-z0-9_-]+)", target)
    return str(cursor)


def nanoseconds(text: str) -> int:
    """An instant as it is written outside: no more digits than it needs, but for a zero that makes a column uniform."""
    found = _TIME.fullmatch(text)
    assert found, text
    digits = found[2] or ""
    assert digits == "0" or not digits.endswith("0"), text
    seconds = int(dt.datetime.fromisoformat(found[1] + "+00:00").timestamp())
    return seconds * 10**9 + int(digits.ljust(9, "0"))


def nested(rows: list[Row]) -> list[Row]:
    return [{name: nanoseconds(v) if name in TIMES and v else v for name, v in row.items()} for row in rows]


def columns(document: dict[str, Any], unit_ns: int) -> list[Row]:
    """The rows of columnar JSON or MessagePack; `symbols` are those that were asked for."""
    names = [name for name, value in document.items() if isinstance(value, list) and name not in HEAD]
    lists = {name: document.pop(name) for name in names}
    lists = {("timestamp" if name == "timestamps" else name): values for name, values in lists.items()}
    for name in TIMES & lists.keys():
        lists[name] = [None if value is None else value * unit_ns for value in lists[name]]
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def from_ndjson(body: bytes) -> list[Row]:
    assert body == b"" or body.endswith(b"\n")
    return nested([json.loads(line) for line in body.splitlines()])


def from_csv(body: bytes) -> list[Row]:
    return [
        {name: cell(name, text) for name, text in row.items()}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    ]


def cell(name: str, text: str) -> Any:
    if text == "":
        return None
    if name == "conditions":
        return text.split(";")
    if name in TIMES:
        return nanoseconds(text)
    if text in {"true", "false"}:
        return text == "true"
    return text if name in TEXTS else json.loads(text)


def from_arrow(body: bytes) -> list[Row]:
    with pa.ipc.open_stream(body) as stream:
        table = stream.read_all()
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            assert (field.type.unit, field.type.tz) == ("ns", "UTC")
            table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
    rows: list[Row] = table.to_pylist()
    return [{name: v.isoformat() if isinstance(v, dt.date) else v for name, v in row.items()} for row in rows]


FLAT: dict[str, Callable[[bytes], list[Row]]] = {
    "ndjson": from_ndjson,
    "csv": from_csv,
    "arrow": from_arrow,
}
