"""Reads stored data: pages, whole ranges, streams that are verified by their trailer."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from marketdata_client.arrow_messages import ArrowMessages
from marketdata_client.bodies import object_in
from marketdata_client.errors import BadAnswer, IncompleteStream, MarketDataError, Refused, Unreachable
from marketdata_client.exchange import answered
from marketdata_client.site import Call, Parameter, Site, segment
from marketdata_client.steps import Answer, Emit, Flow, Read, Sleep, Stepper
from marketdata_client.tables import (
    Table,
    arrow_library,
    checked_lists,
    has_pyarrow,
    joined,
    table_of_rows,
)

Symbols: TypeAlias = str | Sequence[str]
EQUITIES = "equities"
ROOT = "/api/v1/market-data"
_NEXT_LINK = re.compile(r'<([^<>]{1,16384})>\s*;\s*rel="?next"?')
_LONGEST_LINE = 16 * 2**20
# Lists of the columnar document that are no columns.
_NOT_COLUMNS = frozenset({"symbols", "absences", "not_applied"})
_ARROW, _COLUMNAR, _JSON = "arrow", "columnar", "json"


@dataclass(frozen=True, slots=True)
class Query:
    """What is read. symbol: one, or several (only pages). parameters: those of docs/market_data.md."""

    dataset: str
    symbol: Symbols
    market: str = EQUITIES
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def call(self, format_name: str, **more: Parameter) -> Call:
        market = f"{ROOT}/{segment(self.market)}"
        query = {**self.parameters, **more, "format": format_name}
        dataset = "/".join(segment(part) for part in self.dataset.split("/"))
        if isinstance(self.symbol, str):
            return Call("GET", f"{market}/{segment(self.symbol)}/{dataset}", query)
        return Call("GET", f"{market}/{dataset}", {"symbols": self.symbol, **query})

    def stream_call(self, format_name: str, **more: Parameter) -> Call:
        if not isinstance(self.symbol, str):
            raise ValueError("a stream is of one symbol; read several with pages()")  # noqa: TRY004 several are for pages
        call = self.call(format_name, trailer=1, **more)
        return Call("GET", f"{call.path}/stream", call.query)


def pages(site: Site, query: Query) -> Flow[None]:
    """Emit a `Table` for each page."""
    format_name = _ARROW if has_pyarrow() else _COLUMNAR
    yield from _walk(site, query, format_name, _page_table)


def rows(site: Site, query: Query) -> Flow[None]:
    """Emit each row of all pages as the JSON has it."""

    def emitted(answer: Answer) -> tuple[list[dict[str, Any]], str | None]:
        document = object_in(answer.body)
        found: list[dict[str, Any]] = next((value for value in document.values() if _is_rows(value)), [])
        return found, _cursor(document.get("next_cursor"))

    yield from _walk(site, query, _JSON, emitted, one_by_one=True)


def first_page(site: Site, query: Query) -> Flow[Table]:
    """Return one page."""
    format_name = _ARROW if has_pyarrow() else _COLUMNAR
    answer = yield from answered(site, query.call(format_name, **_time(format_name)))
    return _page_table(answer)[0]


def _walk(site: Site, query: Query, format_name: str, read: Any, *, one_by_one: bool = False) -> Flow[None]:
    """Emit what `read` makes of each page. Raises `BadAnswer` if a page leads to itself."""
    cursor = query.parameters.get("cursor")
    while True:
        call = query.call(format_name, cursor=cursor, **_time(format_name))
        content, following = read((yield from answered(site, call)))
        for value in content if one_by_one else [content]:
            yield Emit(value)
        if following is None:
            return
        if following == cursor:
            raise BadAnswer("a page leads to itself")
        cursor = following


def _time(format_name: str) -> dict[str, str]:
    return {"time": "ns"} if format_name == _COLUMNAR else {}


def _page_table(answer: Answer) -> tuple[Table, str | None]:
    commit = answer.headers.get("x-commit", "")
    if "arrow" in answer.headers.get("content-type", ""):
        messages = ArrowMessages()
        batches = list(messages.take(answer.body))
        messages.end()
        held = arrow_library().Table.from_batches(batches, messages.schema)
        return Table(held, commit=commit), _linked_cursor(answer.headers.get("link", ""))
    document = object_in(answer.body)
    lists = {
        name: values
        for name, values in document.items()
        if isinstance(values, list) and name not in _NOT_COLUMNS
    }
    return checked_lists(lists, commit=commit), _cursor(document.get("next_cursor"))


def _linked_cursor(link: str) -> str | None:
    """Return the cursor of a Link header. Nothing else of the link is used, so that it leads nowhere else."""
    found = _NEXT_LINK.search(link)
    return _cursor(parse_qs(urlsplit(found[1]).query).get("cursor", [""])[0]) if found else None


def _cursor(found: object) -> str | None:
    if found is None or found == "":
        return None
    if not isinstance(found, str) or len(found) > 8192:
        raise BadAnswer("the cursor of the answer is no text")
    return found


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def stream(site: Site, query: Query) -> Flow[None]:
    """Emit tables as their rows arrive. The end is reached only if the trailer agrees; else raises `IncompleteStream`."""
    format_name = _ARROW if has_pyarrow() else "ndjson"
    terms = {} if format_name == _ARROW else {"time": "ns"}
    answer = yield from answered(site, query.stream_call(format_name, **terms), opened=True)
    commit = answer.headers.get("x-commit", "")
    reader = _ArrowReader(commit) if format_name == _ARROW else _LineReader(commit)
    while piece := (yield from _read()):
        for table in reader.take(piece):
            yield Emit(table)
    for table in reader.end():
        yield Emit(table)


def _read() -> Flow[bytes]:
    try:
        piece: bytes = yield Read()
    except Unreachable as error:
        raise IncompleteStream(f"the stream broke off: {error}") from error
    return piece


def whole(site: Site, query: Query) -> Flow[Table]:
    """Return all rows of a range: by a stream, which is read again if it breaks; of several symbols, or with `last`, by pages."""
    is_streamed = isinstance(query.symbol, str) and query.parameters.get("last") is None
    for attempt in count(1):
        try:
            return (yield from _collected((stream if is_streamed else pages)(site, query), site.max_rows))
        except IncompleteStream as error:
            pause = site.retries.pause(attempt, None)
            if pause is None:
                raise
            site.retries.on_pause(error, pause)
        yield Sleep(pause)
    raise AssertionError("count() has no end")


def _collected(flow: Flow[None], max_rows: int) -> Flow[Table]:
    """Return what a flow emits, in one table."""
    tables: list[Table] = []
    total, stepper = 0, Stepper(flow)
    try:
        while (step := stepper.next()) is not None:
            if isinstance(step, Emit):
                tables.append(step.value)
                total += len(step.value)
                if total > max_rows:
                    raise MarketDataError(
                        f"there are more than {max_rows:,} rows; raise max_rows, or iterate"
                    )
                continue
            try:
                stepper.outcome = yield step
            except (BadAnswer, Refused, Unreachable) as error:
                stepper.error = error
    finally:
        stepper.close()
    return joined(tables)


class _ArrowReader:
    def __init__(self, commit: str) -> None:
        self._messages, self._commit = ArrowMessages(), commit

    def take(self, piece: bytes) -> Iterator[Table]:
        pa = arrow_library()
        for batch in self._messages.take(piece):
            yield Table(pa.Table.from_batches([batch]), commit=self._commit)

    def end(self) -> Iterator[Table]:
        messages = self._messages
        messages.end()
        verify(messages.trailer, rows=messages.rows, digest=messages.digest.hexdigest(), commit=self._commit)
        if not messages.rows:
            yield Table(messages.schema.empty_table(), commit=self._commit)


class _LineReader:
    """Holds the last line back, because it may be the trailer."""

    def __init__(self, commit: str) -> None:
        self._commit, self._digest, self._rows = commit, hashlib.sha256(), 0
        self._waiting = b""

    def take(self, piece: bytes) -> Iterator[Table]:
        *lines, rest = (self._waiting + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise BadAnswer("a line of the stream is too long")
        if not lines:
            self._waiting = rest
            return
        self._waiting = lines.pop() + b"\n" + rest
        if lines:
            yield self._table(lines)

    def _table(self, lines: list[bytes]) -> Table:
        self._digest.update(b"".join(line + b"\n" for line in lines))
        self._rows += len(lines)
        return table_of_rows([object_in(line) for line in lines], commit=self._commit)

    def end(self) -> Iterator[Table]:
        last = self._waiting.removesuffix(b"\n")
        if not self._waiting.endswith(b"\n") or not last or b"\n" in last:
            raise IncompleteStream("the stream does not end with its trailer")
        trailer = {name: str(value) for name, value in object_in(last).items()}
        verify(trailer, rows=self._rows, digest=self._digest.hexdigest(), commit=self._commit)
        if not self._rows:
            yield Table({}, commit=self._commit)


def verify(trailer: Mapping[str, str], *, rows: int, digest: str, commit: str) -> None:
    """Raise `IncompleteStream` unless a trailer agrees with what was received."""
    if not trailer.get("sha256"):
        raise IncompleteStream("the stream does not end with its trailer")
    if (trailer.get("rows"), trailer["sha256"]) != (str(rows), digest):
        raise IncompleteStream("the rows are not those that the trailer was made of")
    if trailer.get("commit", commit) != commit:
        raise IncompleteStream("the trailer is of other commits than the answer's headers")
