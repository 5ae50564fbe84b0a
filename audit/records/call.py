"""Makes the records of API calls and events. Pure: no Django, no files, no clock."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NotRequired, TypedDict, Unpack, get_type_hints

from audit.records.columns import (
    ADDRESS_CHARS,
    CALLER_CHARS,
    CLASS_CHARS,
    CORRELATION_ID_CHARS,
    EVENT_CHARS,
    METHOD_CHARS,
    PATH_CHARS,
    QUERY_CHARS,
    SUBJECT_CHARS,
    AuditColumns,
    fitted,
)
from audit.records.detail import detail_text
from ops.masking import masked_path, masked_query, masked_text

LINE_BYTES = 4096
"""The longest spool line, with its line feed. It equals PIPE_BUF, so that one write is atomic on any file."""


_CACHED_CHARS = 512
# Ids such as the service's own and UUIDs. Nothing in them looks like a secret.
_HEX_ID = re.compile(r"[0-9a-f-]{1,36}")


# The longest text of each field.
_LIMITS: dict[str, int] = {
    name: hint.__metadata__[0].max_length
    for name, hint in get_type_hints(AuditColumns, include_extras=True).items()
    if hint.__origin__ is str
}


class CallOutcome(TypedDict):
    """What a record says of a call beside the call itself.

    at: when it began (aware, UTC). caller: the authenticated caller's identity, or "".
    """

    at: datetime
    caller: str
    status: int
    latency_us: int
    correlation_id: str
    audit_class: NotRequired[str]


class AuditEvent(TypedDict):
    """An event.

    actor: the identity of whoever made a change, such as `key:12`, `user:7` or `command:root`. event: a name such as
    `key.rotated`. subject: the changed object, such as `key:12`. detail: a JSON document, whose secrets are masked;
    instead of its member `change`, a pair of documents before and after, their differences are recorded.
    """

    at: datetime
    actor: str
    audit_class: str
    event: str
    subject: str
    detail: Mapping[str, Any]
    correlation_id: NotRequired[str]


def record_of_call(
    *,
    method: str,
    path: str,
    query: str,
    address: str,
    declared: frozenset[str],
    **outcome: Unpack[CallOutcome],
) -> AuditColumns:
    """Return the record of a call as it was received: secrets are masked first, then long values are cut.

    `declared`: the query parameters whose values are kept.
    """
    is_short = len(path) + len(query) <= _CACHED_CHARS
    masked = _masked_target if is_short else _masked_target.__wrapped__
    method, path, query = masked(method, path, query, declared)
    correlation_id = outcome["correlation_id"]
    if not _HEX_ID.fullmatch(correlation_id):
        correlation_id = fitted(masked_text(correlation_id), CORRELATION_ID_CHARS)
    return AuditColumns(
        outcome["at"],
        fitted(outcome["caller"], CALLER_CHARS),
        method,
        path,
        query,
        outcome["status"],
        max(outcome["latency_us"], 0),
        fitted(address, ADDRESS_CHARS),
        correlation_id,
        audit_class=fitted(outcome.get("audit_class", ""), CLASS_CHARS),
    )


# Callers repeat their calls, so results are cached; long ones are not, which bounds the cache's memory.
@lru_cache(maxsize=1024)
def _masked_target(method: str, path: str, query: str, declared: frozenset[str]) -> tuple[str, str, str]:
    """Return the method, path and query of a record."""
    masked = masked_query(query, declared) if query else ""
    return fitted(method, METHOD_CHARS), fitted(masked_path(path), PATH_CHARS), fitted(masked, QUERY_CHARS)


def columns_of_audit_first_call(record: AuditColumns, *, detail: Mapping[str, Any]) -> AuditColumns:
    """Return the record of an audit-first call, with its detail."""
    return without_surrogates(record)._replace(detail=detail_text(detail))


def columns_of_event(**event: Unpack[AuditEvent]) -> AuditColumns:
    """Return an event as columns of the chain. Secrets in `detail` and `correlation_id` are masked.

    A subject (`key:12`, a symbol) is not masked: it is not a secret, but a symbol such as `KEY=F` may look like one.
    """
    correlation_id = masked_text(event.get("correlation_id", ""))
    return AuditColumns(
        event["at"], _storable(event["actor"], CALLER_CHARS), "", "", "", 0, 0, "",
        _storable(correlation_id, CORRELATION_ID_CHARS),
        audit_class=_storable(event["audit_class"], CLASS_CHARS),
        event=_storable(event["event"], EVENT_CHARS),
        subject=_storable(event["subject"], SUBJECT_CHARS),
        detail=detail_text(event["detail"]),
    )  # fmt: skip


def call_texts(record: AuditColumns) -> dict[str, str]:
    """Return the record's text fields by name."""
    return {name: getattr(record, name) for name in _LIMITS}


def without_surrogates(record: AuditColumns) -> AuditColumns:
    """Return the record with lone surrogates, which UTF-8 cannot encode, replaced by escapes."""
    texts: dict[str, Any] = {
        name: _storable(text, _LIMITS[name]) for name, text in call_texts(record).items()
    }
    return record._replace(**texts)


def _storable(text: str, limit: int) -> str:
    return fitted(text.encode("utf-8", "backslashreplace").decode(), limit)
