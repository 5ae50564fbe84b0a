"""The cost of a request in tokens: rules by name. The access table names one for each endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl

ROWS_PER_TOKEN = 1_000
# A page has at most 10,000 rows.
MOST_PAGE_TOKENS = 10
STREAM_TOKENS = 10
EXPORT_FORMAT = "ndjson"
_ROWS_ASKED = ("limit", "last")
# A longer number, with or without leading zeros, is refused later.
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class CostRule:
    """`tokens(query, format)` is the cost; `query` as sent, `format` the answer's or "".

    is_metered: whether the tokens also count towards quotas.
    """

    name: str
    description: str
    tokens: Callable[[str, str], int]
    is_metered: bool = True


def _one(_query: str, _format: str) -> int:
    return 1


def _page(query: str, _format: str) -> int:
    """A token for each started 1,000 rows of `limit` or `last`.

    A number above the largest page costs as much as the largest page; no number costs one. Both are refused later.
    """
    # A name may be percent-encoded.
    if "limit" not in query and "last" not in query and "%" not in query:
        return 1
    rows = [_rows(value) for name, value in parse_qsl(query, keep_blank_values=True) if name in _ROWS_ASKED]
    return min(max(1, -(-max(rows, default=1) // ROWS_PER_TOKEN)), MOST_PAGE_TOKENS)


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) <= _MOST_DIGITS else ROWS_PER_TOKEN * MOST_PAGE_TOKENS


def _stream(_query: str, _format: str) -> int:
    return STREAM_TOKENS


def _page_or_export(query: str, answer_format: str) -> int:
    return STREAM_TOKENS if answer_format == EXPORT_FORMAT else _page(query, answer_format)


ONE, PAGE, STREAM, EXPORT, UNMETERED = "one", "page", "stream", "export", "unmetered"

COST_RULES = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            CostRule(ONE, "1 token.", _one),
            CostRule(
                PAGE,
                "1 token for each started 1,000 rows that `limit` or `last` asks for, of one symbol or of several; at most 10.",
                _page,
            ),
            CostRule(STREAM, "10 tokens, whatever its length.", _stream),
            CostRule(EXPORT, "As a page; 10 tokens as NDJSON, which has all rows.", _page_or_export),
            CostRule(UNMETERED, "1 token of its bucket, and none of a quota.", _one, is_metered=False),
        )
    }
)


def cost_of(rule: str, query: str = "", answer_format: str = "") -> int:
    """The tokens of a request by a rule of COST_RULES; `admit` charges at most the burst.

    query: the query string. answer_format: the name of the answer's format.
    """
    return COST_RULES[rule].tokens(query, answer_format)
