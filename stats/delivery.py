"""From a pinned query to what is sent: 304 if the client has it, else the answer from the cache or computed, with its headers."""

from http import HTTPStatus

from stats.caching.decorator import CachedAnswer
from stats.caching.tiers import Cached
from stats.encoded import EncodedQuery, P, PinnedQuery, encoded_answer
from stats.finished import Finished
from trades.http.compression import Encoding
from trades.http.conditional import REVALIDATED, is_current
from trades.timestamps import SECOND_NS, format_timestamp

# A commit under way may still carry an instant that has just passed.
_SETTLED_NS = 60 * SECOND_NS
_IMMUTABLE_SECONDS = 31_536_000


def delivered(
    answer: CachedAnswer[P],
    pinned: P,
    *,
    encoding: Encoding | None = None,
    if_none_match: str | None,
    only_held: bool,
    now_ns: int,
) -> Finished | None:
    """The answer to a pinned query, ready to send; None with `only_held` where this process does not hold it in memory.

    With an `encoding` it is compressed where that makes it smaller, and kept so.
    """
    if encoding is None:
        return _delivered(answer, pinned, if_none_match, only_held, now_ns)
    query = EncodedQuery(answer, pinned, encoding)
    return _delivered(encoded_answer, query, if_none_match, only_held, now_ns)


def _delivered(
    answer: CachedAnswer[P], pinned: P, if_none_match: str | None, only_held: bool, now_ns: int
) -> Finished | None:
    validity = {"ETag": pinned.etag, **_validity(pinned, now_ns)}
    if is_current(if_none_match, pinned.etag):
        return Finished(HTTPStatus.NOT_MODIFIED, {"X-Cache": "revalidated", **validity})
    cached = answer.held(pinned) if only_held else answer(pinned, now_ns=now_ns)
    if cached is None:
        return None
    headers = {"Content-Type": cached.entry.content_type, **_origin(cached, now_ns), **validity}
    headers.update(cached.entry.headers)
    return Finished(HTTPStatus.OK, headers, cached.entry.body)


def _origin(cached: Cached, now_ns: int) -> dict[str, str]:
    age = max(0, int(now_ns / SECOND_NS - cached.entry.computed_at))
    return {"X-Cache": cached.outcome.value, "Age": str(age)}


def _validity(pinned: PinnedQuery, now_ns: int) -> dict[str, str]:
    headers = dict(REVALIDATED)
    if pinned.commits:
        headers["X-Commit"] = pinned.commits
    if pinned.as_of_ns is not None:
        headers["X-As-Of"] = format_timestamp(pinned.as_of_ns)
        if pinned.as_of_ns < now_ns - _SETTLED_NS:
            headers["Cache-Control"] = f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
    return headers
