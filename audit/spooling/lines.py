"""Encodes and decodes lines of the spool: calls, and counts of refusals. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from audit.records.call import LINE_BYTES, call_texts, without_surrogates
from audit.records.columns import PATH_CHARS, QUERY_CHARS, AuditColumns, fitted
from audit.records.detail import json_text


class UnreadableRecordError(ValueError):
    """The line is not a record; count it and skip it."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(AuditColumns)
# The only event that is spooled, and the pattern of its `detail`.
_COUNTED = "audit.refusals_counted"
_COUNTS = re.compile(
    r'\{"refusals":[0-9]{1,18},"statuses":\{"[0-9]{3}":[0-9]{1,18}(?:,"[0-9]{3}":[0-9]{1,18})*\}\}'
)


def encode_line(record: AuditColumns) -> bytes:
    """Return the record as one line of JSON, of at most LINE_BYTES.

    If multi-byte characters make it too long, path and query are cut further, but never the caller. A lone
    surrogate, which UTF-8 cannot encode, becomes an escape.
    """
    try:
        line = _ENCODER.encode(record)
    except UnicodeEncodeError:
        return encode_line(without_surrogates(record))
    divisor = 1
    while len(line) >= LINE_BYTES:
        divisor *= 2
        line = _ENCODER.encode(_shortened(record, divisor))
    return line + b"\n"


def decode_line(line: bytes) -> AuditColumns:
    """Return the record in `line` (without its line feed): a call, or counts. Raises UnreadableRecordError."""
    try:
        record = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableRecordError(str(error)) from error
    # JSON has no other way to write the character.
    if b"\\u0000" in line and any("\0" in text for text in call_texts(record).values()):
        raise UnreadableRecordError("a NUL character, which no database column takes")
    is_call = record.event == record.subject == record.detail == ""
    is_count = record.event == _COUNTED and record.subject == "" and _COUNTS.fullmatch(record.detail)
    if not is_call and not is_count:
        raise UnreadableRecordError("an event that is never spooled")
    return record


def counted_line(address: str, statuses: Mapping[int, int], at: datetime) -> bytes:
    """Return the line with an address's refusals in the minute from `at` on, by status."""
    counts = {str(status): count for status, count in sorted(statuses.items())}
    detail = json_text({"refusals": sum(statuses.values()), "statuses": counts})
    return encode_line(AuditColumns(at, "", "", "", "", 0, 0, address, "", event=_COUNTED, detail=detail))


def _shortened(record: AuditColumns, divisor: int) -> AuditColumns:
    return record._replace(
        path=fitted(record.path, PATH_CHARS // divisor),
        query=fitted(record.query, QUERY_CHARS // divisor),
    )
