"""What queries of stored data send, and how their answers are read: pages, and streams that are verified by their trailer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from marketdata_client.arrow_messages import ArrowMessages
from marketdata_client.bodies import object_in
from marketdata_client.errors import BadAnswer, IncompleteStream
from marketdata_client.requests import Answer, Parameter, Request, segment
from marketdata_client.tables import Table

Symbols: TypeAlias = str | Sequence[str]
EQUITIES = "equities"
ROOT = "/api/v1/market-data"
_NEXT_LINK = re.compile(r'<([^<>]{1,16384})>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class Query:
    """What is read. symbol: one, or several (only pages). params: those of docs/market_data.md."""

    dataset: str
    symbol: Symbols
    market: str = EQUITIES
    params: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def is_streamed(self) -> bool:
        """Whether all rows are read by a stream."""
        return isinstance(self.symbol, str) and self.params.get("last") is None

    def table_page(self, cursor: Parameter) -> Request:
        """Return the request of a page in Arrow."""
        return self._request(format="arrow", cursor=cursor)

    def row_page(self, cursor: Parameter) -> Request:
        """Return the request of a page in JSON."""
        return self._request(format="json", cursor=cursor)

    def stream(self) -> Request:
        """Return the request of a stream, which `StreamReader` reads."""
        if not isinstance(self.symbol, str):
            raise ValueError("a stream is of one symbol; read several with pages()")  # noqa: TRY004 several are for pages
        return self._request("/stream", format="arrow", trailer=1)

    def _request(self, below: str = "", **more: Parameter) -> Request:
        market = f"{ROOT}/{segment(self.market)}"
        dataset = "/".join(segment(part) for part in self.dataset.split("/"))
        query = {**self.params, **more}
        if isinstance(self.symbol, str):
            return Request("GET", f"{market}/{segment(self.symbol)}/{dataset}{below}", query)
        return Request("GET", f"{market}/{dataset}", {"symbols": self.symbol, **query})


def cross_section(name: str, symbols: Sequence[str], market: str) -> Request:
    """Return the request of `latest` or `snapshot`."""
    listed = [symbols] if isinstance(symbols, str) else list(symbols)
    return Request("GET", f"{ROOT}/{segment(market)}/{name}", {"symbols": listed})


def page_rows(answer: Answer) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows of a page in JSON, and the cursor of the next page."""
    document = object_in(answer.body)
    found: list[dict[str, Any]] = next((value for value in document.values() if _is_rows(value)), [])
    return found, _cursor(document.get("next_cursor"))


def page_table(answer: Answer) -> tuple[Table, str | None]:
    """Return the rows of a page in Arrow, and the cursor of the next page."""
    messages = ArrowMessages()
    batches = list(messages.take(answer.body))
    messages.end()
    table = pa.Table.from_batches(batches, messages.schema)
    return Table(table, commit=answer.headers.get("x-commit", "")), _linked_cursor(
        answer.headers.get("link", "")
    )


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


class StreamReader:
    """Makes tables of a stream's bytes. commit: the header `X-Commit`."""

    def __init__(self, commit: str) -> None:
        self._messages, self._commit = ArrowMessages(), commit

    def take(self, piece: bytes) -> Iterator[Table]:
        """Yield the tables that are whole with this piece. Raises `BadAnswer`."""
        for batch in self._messages.take(piece):
            yield Table(pa.Table.from_batches([batch]), commit=self._commit)

    def end(self) -> Iterator[Table]:
        """Yield an empty table if there were no rows. Raises `IncompleteStream` unless the trailer agrees."""
        messages = self._messages
        messages.end()
        trailer = messages.trailer
        if not trailer.get("sha256"):
            raise IncompleteStream("the stream does not end with its trailer")
        if (trailer.get("rows"), trailer["sha256"]) != (str(messages.rows), messages.digest.hexdigest()):
            raise IncompleteStream("the rows are not those that the trailer was made of")
        if trailer.get("commit", self._commit) != self._commit:
            raise IncompleteStream("the trailer is of other commits than the answer's headers")
        if not messages.rows:
            yield Table(messages.schema.empty_table(), commit=self._commit)
