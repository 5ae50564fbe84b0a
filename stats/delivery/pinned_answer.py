"""Snapshots: everything that an answer is computed from; with a format and an encoding, the key of its cached bytes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from django.dispatch import Signal

from stats.caching.keys import answer_prefix, escaped, key_parts
from stats.caching.response_cache import RESPONSE_CACHE, Outcome, seconds_to_live
from stats.caching.shared import Entry
from stats.rendering.format import Document, Rendered
from stats.rendering.formats import FORMATS
from store.cached_property import cached_property
from store.declarations import Dataset
from store.timestamps import SECOND_NS
from web.documents import AnswerDocument
from web.requests.after_answer import after_answer
from web.requests.compression import Encoding, compressed
from web.requests.conditional import etag_of
from web.requests.work import counted_work

# The names under which a cached entry's headers have the cursors of the next and previous page. The header `Link` is
# made from these cursors and the request's URL.
NEXT, PREVIOUS = "next", "prev"

LogName = tuple[Dataset, str]
"""A dataset, and the symbol of a log of it."""


@dataclass(frozen=True, slots=True)
class Representation:
    """A format and a content encoding; None means uncompressed."""

    format: str
    encoding: Encoding | None = None

    @property
    def key(self) -> str:
        """Return its part of cache keys: `json`, `json+gzip`."""
        return self.format + (f"+{self.encoding}" if self.encoding else "")


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
    def is_cacheable(self) -> bool:
        """Whether the answer may be stored, by this service and by clients. If not, it may not be `watched` either."""
        return True

    @property
    def watched(self) -> frozenset[LogName] | None:
        """The logs whose commits may change the answer, besides declarations; None if they cannot be named."""
        return None

    @property
    def expires_ns(self) -> int | None:
        """The first instant at which the answer may change although nothing is written; None for never."""
        return None

    @abstractmethod
    def document(self) -> Document | AnswerDocument | dict[str, Any]:
        """Return the answer, made from the fields alone. Only a `Document` has other formats than JSON.

        Raises `StatsError`s and `StorageError`s.
        """

    @cached_property
    def key_prefix(self) -> str:
        """Return the cache key without the representation."""
        return answer_prefix(key_parts(self), symbol=",".join(self.symbols), dataset=self.name)


answer_computed = Signal()
"""Sent with each `content` that was computed and not found in the cache, after the answer has gone out."""


@dataclass(frozen=True)
class AnswerKey:
    """A snapshot in one representation.

    `cache_key` is the key of the cached bytes; the ETag is its hash. Neither depends on the caller.
    """

    content: AnswerSnapshot
    representation: Representation

    @cached_property
    def cache_key(self) -> str:
        return self.content.key_prefix + escaped(self.representation.key)

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)


def cached_entry(pinned: AnswerKey, *, now_ns: int) -> tuple[Entry, Outcome]:
    """Return the answer's bytes, cached or computed. now_ns: the time of the call.

    Raises the errors of `AnswerSnapshot.document`.
    """
    content = pinned.content
    seconds = seconds_to_live(content.end_ns, now_ns=now_ns, is_period=content.is_period)
    return RESPONSE_CACHE.fetch(pinned.cache_key, lambda: computed_entry(pinned, now_ns), seconds=seconds)


def rendered(content: AnswerSnapshot, format_name: str) -> Rendered:
    """Write the answer in a format. The headers have the cursors of the next and previous page.

    Raises the errors of `AnswerSnapshot.document`.
    """
    document = content.document()
    if not isinstance(document, Document):
        return Rendered(orjson.dumps(document, default=msgspec.to_builtins))
    written = FORMATS[format_name].render(document, document.time_form)
    cursors = ((NEXT, document.next_cursor), (PREVIOUS, document.prev_cursor))
    return Rendered(written.body, (*written.headers, *((name, cursor) for name, cursor in cursors if cursor)))


def computed_entry(pinned: AnswerKey, now_ns: int) -> Entry:
    """Compute the answer's bytes.

    A compressed answer is made from the uncompressed one, which is not stored again: it is taken from this process's
    memory, or computed, for all encodings that wait for it.
    """
    representation = pinned.representation
    if representation.encoding is not None:
        plain = AnswerKey(pinned.content, Representation(representation.format))
        entry, _ = RESPONSE_CACHE.fetch(plain.cache_key, lambda: computed_entry(plain, now_ns), seconds=0)
        return _encoded(entry, representation.encoding, pinned.etag)
    with counted_work() as work:
        written = rendered(pinned.content, representation.format)
    after_answer(lambda: answer_computed.send(AnswerKey, content=pinned.content))
    return Entry(
        body=written.body,
        content_type=FORMATS[representation.format].content_type,
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
        headers=written.headers,
        tokens=work.tokens,
    )


def _encoded(plain: Entry, encoding: Encoding, etag: str) -> Entry:
    """Return the entry compressed; its body is unchanged if compression does not make it smaller."""
    result = compressed(plain.body, encoding)
    header = () if result.encoding is None else (("Content-Encoding", result.encoding),)
    return msgspec.structs.replace(plain, body=result.body, etag=etag, headers=(*plain.headers, *header))
