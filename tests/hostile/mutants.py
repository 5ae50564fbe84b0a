"""Valid calls, changed a little at random: most stay well-formed, so that what looks at values has to refuse them."""

import copy
import csv
import io
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from tests.hostile.operations import JSON, Call, Place

NDJSON, CSV = "application/x-ndjson", "text/csv"
MSGPACK, ARROW = "application/msgpack", "application/vnd.apache.arrow.stream"
# How often a body goes in another format than JSON, and how often the bytes of a body are changed.
OTHER_FORMATS, TORN_BODIES = 0.25, 0.06
MUTATIONS = (1, 1, 1, 2, 3)

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 0.0, -0.0, 0.1, 5e-324, 1e-9, 1e15, 2**53, 2**53 + 1, -(2**53), 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 1.7e308,
    float("inf"), float("-inf"), float("nan"), "", " ", "0", "1", "1_000", " 1 ", "1e5", "NaN", "\u0661\u0662", "\uff11", "true", "null", "\x00", "\t", "\r\n",
    "=1+1", "+1", "-1", "@a", "'", '"', ",", ";", "a;b", "%00", "\u202e", "\ud83d", "\U0001f600", "a" * 65, "A" * 33, "A" * 300, "../x", "..\\x", "CON", "a/b",
    "ibm", "\u0130BM", "BTC/USD", "0001-01-01", "9999-12-31", "1899-12-31T23:59:59.999999999Z", "2201-01-01", "2025-02-30", "2025-01-02T24:00:00Z",
    "2025-01-02T23:59:60Z", "2025-01-02T14:30:00.0000000001Z", "2025-01-02T14:30:00+24:00", "1735828200", "1735828200000", "99999999999999999999",
    "1h", "1min", "1M", "tick", "0s", "-1d", "asc", "desc", "all", "*", "json", "csv", "arrow", "exact", [], {}, [[]], [None], [{}], {"": 0}, ["a"] * 40,
    [1, 2, 3], {"a": {"b": []}}, [[[[[[[[]]]]]]]], b"\xff\xfe",
]  # fmt: skip
HEADERS = [
    "Idempotency-Key", "X-Correlation-ID", "If-None-Match", "If-Modified-Since", "Accept-Encoding", "Accept-Language", "Range", "Cookie",
    "X-Forwarded-For", "X-Forwarded-Host", "X-HTTP-Method-Override", "Content-Language", "Expect", "Cache-Control", "Referer", "Origin",
]  # fmt: skip
# These decide whether an operation sees the request at all.
ROUTING_HEADERS = ["Accept", "Content-Type", "Content-Encoding", "Host"]


def mutate(call: Call, rng: random.Random) -> None:
    """One to three changes; the body's format and bytes are chosen last."""
    for _ in range(rng.choice(MUTATIONS)):
        rng.choices(*zip(*_choices(call), strict=True))[0](call, rng)
    if call.operation.example is not None:
        _write_body(call, rng)


def _choices(call: Call) -> Iterator[tuple[Callable[[Call, random.Random], None], int]]:
    yield _change_query, 8
    yield _change_header, 4
    yield _change_routing, 1
    if call.path_values:
        yield _change_path, 8
    if call.document is not None:
        yield _change_document, 40


def _change_query(call: Call, rng: random.Random) -> None:
    names = [each.name for each in call.operation.of_place("query")]
    kind = rng.randrange(8)
    if kind == 0:
        call.query.append((_text(rng), _text(rng)))
    elif kind == 1 and call.query:
        call.query.append(rng.choice(call.query))
    elif kind == 2 and call.query:
        call.query.pop(rng.randrange(len(call.query)))
    elif kind == 3 and call.query:
        name, value = call.query.pop(rng.randrange(len(call.query)))
        call.query.append((_torn(name, rng), value))
    elif names:
        name = rng.choice(names)
        given = dict(call.query).get(name, "1")
        call.query = [*call.with_query(name, rng.choice([_torn(given, rng), _text(rng), _text(rng)])).query]


def _change_path(call: Call, rng: random.Random) -> None:
    name = rng.choice(sorted(call.path_values))
    call.path_values[name] = rng.choice([_torn(call.path_values[name], rng), _text(rng)])


def _change_header(call: Call, rng: random.Random) -> None:
    call.headers[rng.choice(HEADERS)] = _of_one_line(_text(rng))


def _change_routing(call: Call, rng: random.Random) -> None:
    if rng.randrange(4):
        call.headers[rng.choice(ROUTING_HEADERS)] = _of_one_line(_text(rng))
    else:
        call.method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONE"])


def _change_document(call: Call, rng: random.Random) -> None:
    if rng.random() < 0.2 and call.operation.fields and isinstance(call.document, dict):
        call.document = copy.deepcopy(call.operation.example)
        call.put(rng.choice(call.operation.fields), _value(rng))
        return
    place = rng.choice(list(_places(call.document)))
    if not place:
        call.document = _value(rng)
        return
    *outer, last = place
    holder = call.document
    for step in outer:
        holder = holder[step]
    _change_inside(holder, last, rng)


def _change_inside(holder: Any, last: Any, rng: random.Random) -> None:
    value = holder[last]
    kind = rng.randrange(10)
    if kind == 0:
        del holder[last]
    elif kind == 1 and isinstance(holder, dict):
        holder[_torn(last, rng)] = holder.pop(last)
    elif kind == 2 and isinstance(holder, dict):
        holder[_text(rng)] = _value(rng)
    elif kind == 3 and isinstance(holder, list):
        holder += [value] * rng.choice([1, 1, 100])
    elif kind == 4:
        holder[last] = rng.choice([[value], {"value": value}, str(value)])
    elif kind in {5, 6, 7}:
        holder[last] = _near(value, rng)
    else:
        holder[last] = _value(rng)


def _value(rng: random.Random) -> Any:
    """One of VALUES, of which lists are changed later."""
    return copy.deepcopy(rng.choice(VALUES))


def _near(value: Any, rng: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, str):
        return _torn(value, rng)
    if isinstance(value, int | float) and abs(value) < 1e300:
        factor = rng.choice([-1, 0, 0.5, 1e-12, 1e12, 1e300, 1 + 2**-52])
        return rng.choice(
            [value * factor, value + rng.randint(-2, 2), rng.getrandbits(rng.choice([8, 53, 54, 64]))]
        )
    return _value(rng)


def _places(document: Any) -> Iterator[Place]:
    yield ()
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for step, value in items:
        yield from ((step, *rest) for rest in _places(value))


def _text(rng: random.Random) -> str:
    if rng.randrange(3):
        value = _value(rng)
        return value if isinstance(value, str) else str(value)
    return "".join(
        rng.choices(string.printable + "\x00\x7f\u00e9\u0661\u202e\U0001f600", k=rng.randrange(12))
    )


def _torn(text: str, rng: random.Random) -> str:
    """A text with a character changed, taken away, put in, doubled, or in the other case."""
    at = rng.randrange(len(text) + 1)
    other = rng.choice(string.printable + "\x00\u00e9\u0661\u0130")
    return rng.choice(
        [
            text[:at] + other + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + other + text[at:],
            text + text,
            text.swapcase(),
            text[:at],
        ]
    )


def _of_one_line(text: str) -> str:
    """A header is not broken in two here: what is no HTTP is tried elsewhere."""
    return "".join(character for character in text if character >= " " and character != "\x7f")


def _write_body(call: Call, rng: random.Random) -> None:
    call.media_type, body = JSON, None
    others = [media_type for media_type in call.operation.media_types if media_type != JSON]
    rows = _rows(call.document)
    if others and rows and rng.random() < OTHER_FORMATS:
        media_type = rng.choice(others)
        body = encoded(call.document, rows, media_type)
        call.media_type = media_type if body else JSON
    if body is None:
        text = json.dumps(call.document, ensure_ascii=rng.random() < 0.5, default=repr)
        body = text.encode("utf-8", "surrogatepass")
    call.raw_body = _torn_bytes(body, rng) if rng.random() < TORN_BODIES else body


def _rows(document: Any) -> list[dict[str, Any]]:
    """The rows of a batch; none where the document is none any more."""
    rows = next(iter(document.values()), None) if isinstance(document, dict) else None
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else []


def encoded(document: Any, rows: list[dict[str, Any]], media_type: str) -> bytes | None:
    """The rows in another format; None where it cannot say such values."""
    try:
        match media_type:
            case "application/x-ndjson":
                return _ndjson(rows)
            case "text/csv":
                return _csv(rows)
            case "application/msgpack":
                return msgspec.msgpack.encode(document)
            case _:
                return _arrow(rows)
    except (TypeError, ValueError, OverflowError, pa.ArrowException):
        return None


def _ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row, default=repr).encode() for row in rows)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list({name: None for row in rows for name in row}))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _arrow(rows: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _torn_bytes(body: bytes, rng: random.Random) -> bytes:
    torn = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(torn) + 1)
        torn[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(torn)
