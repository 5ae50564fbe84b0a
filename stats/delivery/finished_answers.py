"""Makes the status, headers and body of a response from an answer's key."""

from dataclasses import dataclass
from http import HTTPStatus

from stats.caching.response_cache import Outcome
from stats.caching.shared import Entry
from stats.delivery.pinned_answer import AnswerKey, cached_entry, rendered
from stats.rendering.formats import FORMATS
from store.timestamps import SECOND_NS, format_timestamp
from web.requests.conditional import NOT_STORED, REVALIDATED, is_current
from web.requests.work import counted_work


@dataclass(frozen=True, slots=True)
class FinishedAnswer:
    """An answer that is ready to send. headers: all except Content-Length. tokens: the price of its work."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    tokens: int = 0


# An answer whose `as_of` is older than this cannot change, because no new commit has a time so far in the past.
_SETTLED_NS = 60 * SECOND_NS
_IMMUTABLE_SECONDS = 31_536_000


def finished_answer(pinned: AnswerKey, *, if_none_match: str | None, now_ns: int) -> FinishedAnswer:
    """Return the answer, ready to send: a 304 if the client has it, else from the cache or computed.

    Raises the errors of `AnswerSnapshot.document`.
    """
    if not pinned.content.is_cacheable:
        return _not_stored(pinned)
    if is_current(if_none_match, pinned.etag):
        return _not_modified(pinned, now_ns)
    entry, outcome = cached_entry(pinned, now_ns=now_ns)
    return _finished(entry, outcome, pinned, now_ns)


def answer_in_memory(pinned: AnswerKey, entry: Entry | None, *, now_ns: int) -> FinishedAnswer:
    """Return the answer with an entry of this process's memory; with None the 304."""
    return _not_modified(pinned, now_ns) if entry is None else _finished(entry, Outcome.HIT, pinned, now_ns)


def _not_stored(pinned: AnswerKey) -> FinishedAnswer:
    """Compute an answer that is not cacheable. It is not compressed."""
    format_name = pinned.representation.format
    with counted_work() as work:
        written = rendered(pinned.content, format_name)
    headers = {
        "Content-Type": FORMATS[format_name].content_type,
        **NOT_STORED,
        **dict(written.headers),
    }
    return FinishedAnswer(HTTPStatus.OK, headers, written.body, work.tokens)


def _not_modified(pinned: AnswerKey, now_ns: int) -> FinishedAnswer:
    headers = {"X-Cache": "revalidated", "ETag": pinned.etag, **_validity(pinned, now_ns)}
    return FinishedAnswer(HTTPStatus.NOT_MODIFIED, headers)


def _finished(entry: Entry, outcome: Outcome, pinned: AnswerKey, now_ns: int) -> FinishedAnswer:
    headers = {
        "Content-Type": entry.content_type,
        "X-Cache": outcome.value,
        "Age": str(max(0, int(now_ns / SECOND_NS - entry.computed_at))),
        "ETag": pinned.etag,
        **_validity(pinned, now_ns),
        **dict(entry.headers),
    }
    return FinishedAnswer(HTTPStatus.OK, headers, entry.body, entry.tokens)


def _validity(pinned: AnswerKey, now_ns: int) -> dict[str, str]:
    headers = dict(REVALIDATED)
    if pinned.content.commits:
        headers["X-Commit"] = pinned.content.commits
    as_of_ns = pinned.content.as_of_ns
    if as_of_ns is not None:
        headers["X-As-Of"] = format_timestamp(as_of_ns)
        if as_of_ns < now_ns - _SETTLED_NS:
            headers["Cache-Control"] = f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
    return headers
