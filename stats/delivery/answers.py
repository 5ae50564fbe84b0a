"""From a snapshot, which has everything that an answer is computed from, to its key, its cached bytes and its headers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

import msgspec
from django.dispatch import Signal

from stats.caching.keys import answer_prefix, escaped, key_parts
from stats.caching.response_cache import RESPONSE_CACHE, Outcome, seconds_to_live
from stats.caching.shared import Entry
from stats.rendering.format import RowsDocument
from stats.rendering.formats import FORMATS
from store.cached_property import cached_property
from store.declarations import Dataset
from store.timestamps import SECOND_NS, format_timestamp
from trades.stores import market_store
from web.documents import AnswerDocument
from web.requests.after_answer import after_answer
from web.requests.compression import Encoding, compressed
from web.requests.conditional import REVALIDATED, etag_of, is_current
from web.requests.work import counted_work

# The names under which a cached entry's headers have the cursors of the next and previous page. The header `Link` is
# made from these cursors and the request's URL.
NEXT, PREVIOUS = "next", "prev"

LogName = tuple[Dataset, str]
"""A dataset, and the symbol of a log of it."""


# An answer whose `as_of` is older than this cannot change, because no new commit has a time so far in the past.
_SETTLED_NS = 60 * SECOND_NS
_IMMUTABLE_SECONDS = 31_536_000


class AnswerSnapshot(ABC):
    """An answer without a format: a frozen dataclass with everything that the answer is computed from.

    Its fields make the cache key; see `key_parts`.

    name: the dataset or report, for cache keys. end_ns: the requested end before rounding, nanoseconds UTC;
    None if there is none. is_period: whether a row covers a day or more. as_of_ns: commits stored later are
    ignored; None for no bound. commits: the value of the header `X-Commit`.
    """

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def symbols(self) -> tuple[str, ...]:
        return ()

    @property
    def commits(self) -> str:
        return ""

    @property
    def as_of_ns(self) -> int | None:
        return None

    @property
    def end_ns(self) -> int | None:
        return None

    @property
    def is_period(self) -> bool:
        return False

    @property
    def watched(self) -> frozenset[LogName] | None:
        """The logs whose commits may change the answer, besides declarations; None if they cannot be named."""
        return None

    @property
    def expires_ns(self) -> int | None:
        """The first instant at which the answer may change although nothing is written; None for never."""
        return None

    @abstractmethod
    def document(self) -> RowsDocument | AnswerDocument | dict[str, Any]:
        """Return the answer, made from the fields alone. Only a `RowsDocument` has other formats than JSON.

        Raises `StatsError`s and `StorageError`s.
        """

    @cached_property
    def key_prefix(self) -> str:
        """Return the cache key without the representation."""
        symbol, store = ",".join(self.symbols), market_store().identity()
        return answer_prefix(key_parts(self), symbol=symbol, dataset=self.name, store=store)


TakeSnapshot: TypeAlias = Callable[..., AnswerSnapshot]
"""With `now_ns`, nanoseconds UTC, it returns the snapshot at the newest commits."""


class ParsedCall(NamedTuple):
    """What a call asks for. logs: those that its snapshot will most likely watch; None if they are not known before."""

    take_snapshot: TakeSnapshot
    logs: frozenset[LogName] | None = None


answer_computed = Signal()
"""Sent with each `snapshot` that was computed and not found in the cache, after the answer has gone out."""


@dataclass(frozen=True)
class AnswerKey:
    """A snapshot in a format and a content encoding; None means uncompressed.

    `cache_key` is the key of the cached bytes; the ETag is its hash. Neither depends on the caller.
    """

    snapshot: AnswerSnapshot
    format: str
    encoding: Encoding | None = None

    @cached_property
    def cache_key(self) -> str:
        representation = f"{self.format}+{self.encoding}" if self.encoding else self.format
        return self.snapshot.key_prefix + escaped(representation)

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)


@dataclass(frozen=True, slots=True)
class FinishedAnswer:
    """An answer that is ready to send. headers: all except Content-Length. tokens: the price of its work."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    tokens: int = 0


def finished_answer(key: AnswerKey, *, if_none_match: str | None, now_ns: int) -> FinishedAnswer:
    """Return the answer, ready to send: a 304 if the client has it, else from the cache or computed.

    Raises the errors of `AnswerSnapshot.document`.
    """
    if is_current(if_none_match, key.etag):
        return _not_modified(key, now_ns)
    entry, outcome = cached_entry(key, now_ns=now_ns)
    return _finished(entry, outcome, key, now_ns)


def answer_in_memory(key: AnswerKey, entry: Entry | None, *, now_ns: int) -> FinishedAnswer:
    """Return the answer with an entry of this process's memory; with None the 304."""
    return _not_modified(key, now_ns) if entry is None else _finished(entry, "hit", key, now_ns)


def _not_modified(key: AnswerKey, now_ns: int) -> FinishedAnswer:
    headers = {"X-Cache": "revalidated", "ETag": key.etag, **_validity(key, now_ns)}
    return FinishedAnswer(HTTPStatus.NOT_MODIFIED, headers)


def _finished(entry: Entry, outcome: Outcome, key: AnswerKey, now_ns: int) -> FinishedAnswer:
    headers = {
        "Content-Type": entry.content_type,
        "X-Cache": outcome,
        "Age": str(max(0, int(now_ns / SECOND_NS - entry.computed_at))),
        "ETag": key.etag,
        **_validity(key, now_ns),
        **dict(entry.headers),
    }
    return FinishedAnswer(HTTPStatus.OK, headers, entry.body, entry.tokens)


def _validity(key: AnswerKey, now_ns: int) -> dict[str, str]:
    headers = dict(REVALIDATED)
    if key.snapshot.commits:
        headers["X-Commit"] = key.snapshot.commits
    as_of_ns = key.snapshot.as_of_ns
    if as_of_ns is not None:
        headers["X-As-Of"] = format_timestamp(as_of_ns)
        if as_of_ns < now_ns - _SETTLED_NS and not _may_be_renamed(key.snapshot.symbols):
            headers["Cache-Control"] = f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
    return headers


def _may_be_renamed(symbols: tuple[str, ...]) -> bool:
    """Return whether a symbol has an alias. The address may have used it, and it may be given to another symbol later."""
    store = market_store()
    return any(store.instrument(symbol).aliases for symbol in symbols)


def cached_entry(key: AnswerKey, *, now_ns: int) -> tuple[Entry, Outcome]:
    """Return the answer's bytes, cached or computed. now_ns: the time of the call.

    Raises the errors of `AnswerSnapshot.document`.
    """
    snapshot = key.snapshot
    seconds = seconds_to_live(snapshot.end_ns, now_ns=now_ns, is_period=snapshot.is_period)
    return RESPONSE_CACHE.fetch(key.cache_key, lambda: computed_entry(key, now_ns), seconds=seconds)


def rendered(snapshot: AnswerSnapshot, format_name: str) -> tuple[bytes, dict[str, str]]:
    """Return the answer's bytes in a format, and headers: the format's, and the cursors of the next and previous page.

    Raises the errors of `AnswerSnapshot.document`.
    """
    document, headers = snapshot.document(), dict[str, str]()
    if not isinstance(document, RowsDocument):
        return msgspec.json.encode(document), headers
    body = FORMATS[format_name].render(document, renderer_context={"response": headers})
    cursors = ((NEXT, document.next_cursor), (PREVIOUS, document.prev_cursor))
    return body, headers | {name: cursor for name, cursor in cursors if cursor}


def computed_entry(key: AnswerKey, now_ns: int) -> Entry:
    """Compute the answer's bytes.

    A compressed answer is made from the uncompressed one, which is not stored again: it is taken from this process's
    memory, or computed, for all encodings that wait for it.
    """
    if key.encoding is not None:
        plain = AnswerKey(key.snapshot, key.format)
        entry, _ = RESPONSE_CACHE.fetch(plain.cache_key, lambda: computed_entry(plain, now_ns), seconds=0)
        return _encoded(entry, key.encoding, key.etag)
    with counted_work() as work:
        body, headers = rendered(key.snapshot, key.format)
    after_answer(lambda: answer_computed.send(AnswerKey, snapshot=key.snapshot))
    return Entry(
        body=body,
        content_type=FORMATS[key.format].content_type,
        etag=key.etag,
        computed_at=now_ns / SECOND_NS,
        headers=tuple(headers.items()),
        tokens=work.tokens,
    )


def _encoded(plain: Entry, encoding: Encoding, etag: str) -> Entry:
    """Return the entry compressed; its body is unchanged if compression does not make it smaller."""
    result = compressed(plain.body, encoding)
    header = () if result.encoding is None else (("Content-Encoding", result.encoding),)
    return msgspec.structs.replace(plain, body=result.body, etag=etag, headers=(*plain.headers, *header))
