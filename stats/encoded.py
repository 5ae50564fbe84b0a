"""Finished answers in a content encoding, kept beside those that are as they are."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from http_requests.compression import Encoding, compressed
from http_requests.conditional import etag_of
from stats.caching.decorator import CachedAnswer, CacheQuery, cached
from stats.caching.entry import Entry


class PinnedQuery(CacheQuery, Protocol):
    """A query of one representation, fixed to the commits that its answer is of."""

    @property
    def etag(self) -> str: ...
    @property
    def commits(self) -> str: ...
    @property
    def as_of_ns(self) -> int | None: ...


P = TypeVar("P", bound=PinnedQuery)


@dataclass(frozen=True)
class EncodedQuery(Generic[P]):
    """A pinned query whose answer, the one of `answer`, is wanted in an encoding: a representation with a tag of its own."""

    answer: CachedAnswer[P]
    pinned: P
    encoding: Encoding

    @property
    def cache_symbol(self) -> str:
        return self.pinned.cache_symbol

    @property
    def cache_end_ns(self) -> int | None:
        return self.pinned.cache_end_ns

    @property
    def cache_coarse(self) -> bool:
        return self.pinned.cache_coarse

    @cached_property
    def cache_key(self) -> str:
        return f"{self.pinned.cache_key}-{self.encoding}"

    @property
    def etag(self) -> str:
        return etag_of(self.cache_key)

    @property
    def commits(self) -> str:
        return self.pinned.commits

    @property
    def as_of_ns(self) -> int | None:
        return self.pinned.as_of_ns


@cached()
def encoded_answer(query: EncodedQuery[Any], now_ns: int) -> Entry:
    """The finished answer in its encoding, from the one that is as it is. Raises what that raises."""
    plain = query.answer(query.pinned, now_ns=now_ns).entry
    return encoded_entry(plain, query.encoding, query.etag)


def encoded_entry(plain: Entry, encoding: Encoding, etag: str) -> Entry:
    """An entry in an encoding, under the tag of that representation; its body as it is if that is not larger."""
    done = compressed(plain.body, encoding)
    header = () if done.encoding is None else (("Content-Encoding", done.encoding),)
    return replace(plain, body=done.body, etag=etag, headers=(*plain.headers, *header))
