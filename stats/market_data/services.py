"""The tree's answers: what the endpoints and other apps ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from django.utils.encoding import escape_uri_path

from http_requests.compression import Encoding
from http_requests.exceptions import InvalidParameter
from stats.delivery import delivered
from stats.finished import Finished
from stats.market_data.answers.answer import NEXT, PREVIOUS, market_data_answer
from stats.market_data.answers.stream import RowStream
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.pinning.pinned import Representation, pin
from stats.market_data.queries.query import Target, parse_query
from stats.market_data.reports.coverage import COVERAGE, coverage_answer, pin_coverage
from stats.market_data.reports.newest import parse_report_query, pin_report, report_answer
from stats.rendering.formats import FORMATS


@dataclass(frozen=True, slots=True)
class Request:
    """A URL of the tree: what its path names, the path itself, and its query string."""

    target: Target
    path: str
    query_string: str


def market_data_read(
    *, request: Request, representation: Representation, if_none_match: str | None, now_ns: int
) -> Finished:
    """A page of the tree: 304 if the client has it, else from the cache or computed.

    `now_ns` is the time of the call.
    Raises `InvalidParameter`, `InvalidValue`, the store's `StorageError`s and every `StatsError`.
    """
    query = parse_query(request.target, request.query_string)
    if query.with_coverage and not FORMATS[representation.format].has_envelope:
        places = ", ".join(name for name, each in FORMATS.items() if each.has_envelope)
        raise InvalidParameter(
            "conflicting_parameters", f"coverage has no place in {representation.format}, only in {places}"
        )
    pinned = pin(MARKET_DATASETS[query.form.name], query, representation, now_ns=now_ns)
    finished = delivered(market_data_answer, pinned, if_none_match=if_none_match, now_ns=now_ns)
    return _linked(finished, request)


def market_data_stream(*, request: Request, format_name: str, now_ns: int) -> RowStream:
    """All rows of a range, from the first one on, whatever their number.

    Raises as `market_data_read`, before the first row.
    """
    query = parse_query(request.target, request.query_string)
    pinned = pin(MARKET_DATASETS[query.form.name], query, Representation(format_name), now_ns=now_ns)
    return RowStream(pinned)


def report_read(
    *,
    report: str,
    market_class: str,
    symbol: str | None,
    query_string: str,
    encoding: Encoding | None,
    if_none_match: str | None,
    now_ns: int,
) -> Finished:
    """A report on the symbol in a path, or on the symbols in a query string, in an encoding.

    Raises as `market_data_read`.
    """
    query = parse_report_query(report, market_class, symbol, query_string)
    if report == COVERAGE:
        return delivered(
            coverage_answer,
            pin_coverage(query),
            encoding=encoding,
            if_none_match=if_none_match,
            now_ns=now_ns,
        )
    pinned = pin_report(query, now_ns=now_ns)
    return delivered(report_answer, pinned, encoding=encoding, if_none_match=if_none_match, now_ns=now_ns)


def _linked(finished: Finished, request: Request) -> Finished:
    """With the header `Link` (RFC 8288) instead of the neighbours' cursors."""
    headers = dict(finished.headers)
    links = list(_links(headers, request))
    if links:
        headers["Link"] = ", ".join(links)
    return Finished(finished.status, headers, finished.body)


def _links(headers: dict[str, str], request: Request) -> Iterator[str]:
    for relation in (NEXT, PREVIOUS):
        cursor = headers.pop(relation, None)
        if cursor is not None:
            given = parse_qsl(request.query_string, keep_blank_values=True)
            query = urlencode(
                [*((name, value) for name, value in given if name != "cursor"), ("cursor", cursor)]
            )
            yield f'<{escape_uri_path(request.path)}?{query}>; rel="{relation}"'
