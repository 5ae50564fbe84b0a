"""Rules for the cost of a request in tokens, by name. Each view names the rule of its calls."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl

from web.requests.work import WorkKind

ROWS_PER_TOKEN = WorkKind.ROWS.per_token
# A page has at most 10,000 rows.
MAX_PAGE_TOKENS = 10
STREAM_TOKENS = 10
EXPORT_FORMAT = "ndjson"
_DAYS_PER_TOKEN = 30
_ROW_PARAMETERS = ("limit", "last")
# A number with more digits, even with leading zeros, costs the most and is refused later.
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class CostRule:
    """A rule for the cost of a request.

    `tokens(query, format, body_bytes)` returns the cost; `query` is the query string as sent, `format` the answer's
    format or "", `body_bytes` the length of the body, or 0 if it is unknown.
    is_metered: whether the tokens count towards quotas, too.
    """

    name: str
    description: str
    tokens: Callable[[str, str, int], int]
    is_metered: bool = True


def _one(_query: str, _format: str, _body_bytes: int) -> int:
    return 1


def _page(query: str, _format: str, _body_bytes: int) -> int:
    """Return 1 token per 1,000 rows of `limit` or `last`, rounded up.

    A number above the largest page costs as much as the largest page. A value that is not a number costs 1. Both are
    refused later.
    """
    # With a `%` in the query, the parameters' names may be percent-encoded.
    if not any(each in query for each in ("limit", "last", "%")):
        return 1
    parameters = parse_qsl(query, keep_blank_values=True)
    rows = [_rows(value) for name, value in parameters if name in _ROW_PARAMETERS]
    return min(max(1, -(-max(rows, default=1) // ROWS_PER_TOKEN)), MAX_PAGE_TOKENS)


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) <= _MAX_DIGITS else ROWS_PER_TOKEN * MAX_PAGE_TOKENS


def _stream(_query: str, _format: str, _body_bytes: int) -> int:
    return STREAM_TOKENS


def _period(query: str, _format: str, _body_bytes: int) -> int:
    """Return 1 token for each started 30 `days`, at most as many as for a stream, which `from` and `to` cost."""
    parameters = parse_qsl(query, keep_blank_values=True)
    if any(name in ("from", "to") for name, _ in parameters):
        return STREAM_TOKENS
    days = max((_rows(text) for name, text in parameters if name == "days"), default=1)
    return min(max(1, -(-days // _DAYS_PER_TOKEN)), STREAM_TOKENS)


def _batch(_query: str, _format: str, body_bytes: int) -> int:
    return max(1, -(-body_bytes // WorkKind.BYTES.per_token))


def _page_or_export(query: str, answer_format: str, body_bytes: int) -> int:
    return STREAM_TOKENS if answer_format == EXPORT_FORMAT else _page(query, answer_format, body_bytes)


ONE, PAGE, STREAM, EXPORT, UNMETERED = "one", "page", "stream", "export", "unmetered"
PERIOD, BATCH = "period", "batch"

COST_RULES = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            CostRule(ONE, "1 token.", _one),
            CostRule(
                PAGE,
                "1 token per 1,000 rows requested (`limit` or `last`), rounded up, however many symbols; at most 10.",
                _page,
            ),
            CostRule(STREAM, "10 tokens, which pay 10,000 rows.", _stream),
            CostRule(EXPORT, "Like `page`; in NDJSON, which returns all rows, 10 tokens.", _page_or_export),
            CostRule(
                PERIOD,
                "1 token per 30 `days`, rounded up; at most 10, which a period by `from` or `to` costs.",
                _period,
            ),
            CostRule(BATCH, "1 token per MiB of the body, rounded up.", _batch),
            CostRule(UNMETERED, "1 token of its bucket, and none of a quota.", _one, is_metered=False),
        )
    }
)


def cost_of(rule: str, query: str = "", answer_format: str = "", body_bytes: int = 0) -> int:
    """Return a request's cost in tokens by the named rule. `admit` charges at most the bucket's size.

    query: the query string. answer_format: the name of the answer's format. body_bytes: the length of the body.
    """
    return COST_RULES[rule].tokens(query, answer_format, body_bytes)
