"""Alpaca's market data API, or an installation that speaks it (`/api/v2`), read page by page."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from jobs.backfills.exceptions import NotOffered, SourceFailed
from jobs.backfills.sources.protocol import Fetched, Offer, SourceRequest
from jobs.backfills.sources.row_spool import RowSpool
from ops.outbound.destination import Destination, Limits
from ops.outbound.exceptions import DestinationUnavailable, OutboundError
from store.datasets import QUOTES, TRADES
from store.declarations import WORD_SEPARATOR
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamps
from trades.conditions import CONDITION_MAPS
from trades.conditions.tapes import EXCHANGES_BY_LETTER

# A page of so many rows has less than the 1 MiB of a JSON document.
_PAGE_ROWS = 5_000
_PATHS = {"equity": "/v2/stocks", "crypto": "/v1beta3/crypto/us"}
_NAMES = {TRADES: "trades", QUOTES: "quotes"}
# A print that was cancelled, or replaced by a corrected one.
_GONE = frozenset({"canceled", "incorrect"})
Row = Mapping[str, Any]


class Alpaca:
    """Trades and quotes of equities and crypto, by the URL before `/v2` and `/v1beta3`.

    key: the id and the secret with a colon between, or a whole key of an installation. is_complete: whether rows that
    it lacks do not exist. limits: see `ops.outbound.destination.Limits`; `total` and `max_bytes` are also of all pages
    together, and of the rows in them. offer: see `Offer`.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str = "https://data.alpaca.markets",
        key: str = "",
        is_complete: bool = False,
        limits: Mapping[str, Any] | None = None,
        offer: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.name = name
        self._is_complete = is_complete
        self._offer = Offer(**(offer or {}))
        key_id, _, secret = key.partition(":")
        headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret or "none"} if key else {}
        self._limits = Limits(**(limits or {}))
        self._destination = Destination(name, url, headers=headers, limits=self._limits)

    def offers(self, request: SourceRequest) -> bool:
        """See `Source`."""
        return _path(request) is not None and self._offer.includes(request)

    def fetch(self, request: SourceRequest) -> Fetched:
        """See `Source`. Without rows it is `NotOffered`, unless it is complete."""
        path = _path(request)
        if path is None:
            raise NotOffered(self.name, f"Alpaca has no {request.dataset.name} of this class")
        commit, size = "", 0
        try:
            with RowSpool(request.dataset.schema) as spool:
                for rows, headers in self._pages(path, request):
                    commit = commit or headers.get("X-Commit", "")
                    batch = _batch(request, rows)
                    size += batch.nbytes
                    if size > self._limits.max_bytes:
                        raise SourceFailed(self.name, f"it has more than {self._limits.max_bytes:,} bytes")
                    spool.write(batch)
                table = spool.table()
        except OutboundError as error:
            text = str(error).removeprefix(f"{self.name}: ")
            retry_after = error.retry_after if isinstance(error, DestinationUnavailable) else None
            raise SourceFailed(self.name, text, retry_after) from error
        except (KeyError, TypeError, AttributeError, InvalidTimestamp, pa.ArrowInvalid) as error:
            raise SourceFailed(self.name, f"the answer is not Alpaca's ({type(error).__name__})") from error
        if not table.num_rows and not self._is_complete:
            raise NotOffered(self.name, "it has no rows of this time")
        return Fetched(self.name, table, commit, (request.window,) if self._is_complete else ())

    def _pages(self, path: str, request: SourceRequest) -> Iterator[tuple[list[Row], Mapping[str, str]]]:
        """Yield the rows of each page, and its headers. Alpaca's end is included.

        Raises `OutboundError`s, and SourceFailed if the pages do not end.
        """
        symbol = _symbol(request)
        first, last = request.window.start_ns, request.window.end_ns - 1
        params = {"symbols": symbol, "start": format_timestamp(first), "end": format_timestamp(last)}
        params |= {"limit": str(_PAGE_ROWS), "sort": "asc"}
        deadline, tokens = time.monotonic() + self._limits.total, set()
        while True:
            page, headers = self._destination.get_json(path, params=params)
            yield page[_NAMES[request.dataset]].get(symbol, []), headers
            token = page["next_page_token"]
            if not token:
                return
            if token in tokens or time.monotonic() > deadline:
                raise SourceFailed(self.name, "its pages do not end")
            tokens.add(token)
            params["page_token"] = token


def _path(request: SourceRequest) -> str | None:
    base, name = _PATHS.get(request.instrument.instrument_class), _NAMES.get(request.dataset)
    return f"{base}/{name}" if base and name else None


def _symbol(request: SourceRequest) -> str:
    is_pair = request.instrument.instrument_class == "crypto"
    return request.symbol.replace("-", "/", 1) if is_pair else request.symbol


def _batch(request: SourceRequest, rows: list[Row]) -> pa.RecordBatch:
    """Return rows in the dataset's schema. Raises what `fetch` says."""
    rows = [row for row in rows if row.get("u") not in _GONE]
    schema = request.dataset.schema
    columns = _trades(rows) if request.dataset is TRADES else _quotes(rows)
    columns["timestamp"] = parse_timestamps([row["t"] for row in rows])
    columns["conditions"] = [_conditions(request.dataset.name, row) for row in rows]
    arrays = [pa.array(columns.get(field.name, [None] * len(rows)), field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def _trades(rows: list[Row]) -> dict[str, Any]:
    ids = [row.get("i") for row in rows]
    return {
        "price": [row["p"] for row in rows],
        "volume": [row["s"] for row in rows],
        "trade_id": [None if each is None else str(each) for each in ids],
        "exchange": [_exchange(row.get("x")) for row in rows],
    }


def _quotes(rows: list[Row]) -> dict[str, Any]:
    """A side without a quote has the price 0."""
    columns: dict[str, Any] = {
        name: [row[letters] if row[f"{letters[0]}p"] else None for row in rows]
        for name, letters in (("bid", "bp"), ("bid_size", "bs"), ("ask", "ap"), ("ask_size", "as"))
    }
    return {**columns, "exchange": [_exchange(row.get("bx")) for row in rows]}


def _exchange(letter: str | None) -> str | None:
    return None if letter is None else EXCHANGES_BY_LETTER.get(letter, letter)


def _conditions(dataset: str, row: Row) -> str | None:
    """Return the words of a row. The codes are those of its tape; without a tape they are words already."""
    codes, tape = WORD_SEPARATOR.join(row.get("c") or ()), row.get("z")
    return _words(dataset, tape, codes) if codes and tape else codes or None


@lru_cache(maxsize=4096)
def _words(dataset: str, tape: str, codes: str) -> str | None:
    conditions = CONDITION_MAPS["utp" if tape == "C" else "cta"]
    words: str | None = conditions.translated(dataset, pa.array([codes], pa.string()))[0].as_py()
    return words
