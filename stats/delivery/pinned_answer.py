"""Pinned answers: a query, everything that its answer is computed from, and its representation."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

from http_requests.compression import Encoding, compressed
from http_requests.conditional import etag_of
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.keys import CacheKey, escaped, key_parts
from stats.rendering.format import Rendered
from stats.rendering.formats import FORMATS
from store.timestamps import SECOND_NS


@dataclass(frozen=True, slots=True)
class Representation:
    """Format and content encoding; no encoding means uncompressed."""

    format: str
    encoding: Encoding | None = None

    @property
    def key(self) -> str:
        """The form in cache keys: `json`, `json+gzip`."""
        return self.format + (f"+{self.encoding}" if self.encoding else "")


class Content(ABC):
    """An answer before it has a format: a frozen dataclass whose fields are all that it is computed from.

    The fields make the cache key (see `key_parts`), so contents with different answers have different keys.

    name: the dataset or report, in cache keys. end_ns: the requested end before rounding, nanoseconds UTC;
    None for all that is stored. is_period: whether rows are of a day or longer. as_of_ns: only what was
    stored by then counts; None for now. commits: the header `X-Commit`.
    """

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def commits(self) -> str: ...

    @property
    @abstractmethod
    def as_of_ns(self) -> int | None: ...

    @property
    def end_ns(self) -> int | None:
        return None

    @property
    def is_period(self) -> bool:
        return False

    @abstractmethod
    def rendered(self, format_name: str) -> Rendered:
        """The answer in a format. Reads only the fields. Raises `StatsError`s and `StorageError`s."""

    def answer(self, representation: Representation) -> "PinnedAnswer":
        """The content in a representation."""
        return PinnedAnswer(self, representation)

    @cached_property
    def key_prefix(self) -> str:
        """The cache key without the representation."""
        parts = key_parts(self)
        return str(
            CacheKey(
                symbol=",".join(self.symbols),
                dataset=self.name,
                parameters=parts.parameters,
                version=parts.version or "none",
                representation="",
            )
        )


@dataclass(frozen=True)
class PinnedAnswer:
    """One representation of one content: the name under which its bytes are cached and tagged.

    It does not depend on the caller: each caller's permission is checked before.
    """

    content: Content
    representation: Representation

    @property
    def cache_end_ns(self) -> int | None:
        return self.content.end_ns

    @property
    def cache_coarse(self) -> bool:
        return self.content.is_period

    @cached_property
    def cache_key(self) -> str:
        return self.content.key_prefix + escaped(self.representation.key)

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)


@cached()
def cached_entry(pinned: PinnedAnswer, now_ns: int) -> Entry:
    """The answer's bytes, computed at `now_ns`.

    An encoded answer is made from the plain one, which is cached too. Raises the errors of
    `Content.rendered`.
    """
    written = pinned.representation
    if written.encoding is not None:
        plain = pinned.content.answer(Representation(written.format))
        return _encoded(cached_entry(plain, now_ns=now_ns).entry, written.encoding, pinned.etag)
    rendered = pinned.content.rendered(written.format)
    return Entry(
        body=rendered.body,
        content_type=FORMATS[written.format].content_type,
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
        headers=rendered.headers,
    )


def _encoded(plain: Entry, encoding: Encoding, etag: str) -> Entry:
    """An entry in an encoding; its body stays as it is if compression does not make it smaller."""
    done = compressed(plain.body, encoding)
    header = () if done.encoding is None else (("Content-Encoding", done.encoding),)
    return replace(plain, body=done.body, etag=etag, headers=(*plain.headers, *header))
