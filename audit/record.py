"""One API call as one line of JSON. Pure: no Django, no files, no clock."""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import msgspec

from audit.chain import Columns
from audit.changes import changes
from audit.masking import masked_document, masked_path, masked_query, masked_text
from audit.seals import SEAL_BYTES

LINE_BYTES = 4096
"""A line is at most this long with its seal and its line feed: PIPE_BUF, so that one write is whole on any kind of file."""

CALLER_CHARS = 100
METHOD_CHARS = 16
PATH_CHARS = 1024
QUERY_CHARS = 1536
ADDRESS_CHARS = 64
CORRELATION_ID_CHARS = 128
CLASS_CHARS = 16
EVENT_CHARS = 64
SUBJECT_CHARS = 200
DETAIL_CHARS = 65_536
BODY_BYTES = 4096
TRUNCATED = "…"
"""What a value that was too long ends with."""


class UnreadableRecordError(ValueError):
    """A line is not a record; it can only be counted and left out."""


class CallRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is kept of a call.

    `at` is when it began (aware, UTC); texts are masked and at most as long as said.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    caller: Annotated[str, msgspec.Meta(max_length=CALLER_CHARS)]
    method: Annotated[str, msgspec.Meta(max_length=METHOD_CHARS)]
    path: Annotated[str, msgspec.Meta(max_length=PATH_CHARS)]
    query: Annotated[str, msgspec.Meta(max_length=QUERY_CHARS)]
    status: Annotated[int, msgspec.Meta(ge=0, le=999)]
    latency_us: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    address: Annotated[str, msgspec.Meta(max_length=ADDRESS_CHARS)]
    correlation_id: Annotated[str, msgspec.Meta(max_length=CORRELATION_ID_CHARS)]
    # Of what is no call: records that were lost on their way.
    event: Annotated[str, msgspec.Meta(max_length=EVENT_CHARS)] = ""
    detail: Annotated[str, msgspec.Meta(max_length=LINE_BYTES)] = ""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CallRecord)
_LOST = "audit.records_lost"
_LOST_DETAIL = re.compile(r'\{"records":[0-9]{1,18}\}')


def record_of_call(
    *,
    at: datetime,
    caller: str,
    method: str,
    path: str,
    query: str,
    status: int,
    latency_us: int,
    address: str,
    correlation_id: str,
) -> CallRecord:
    """Make the record of a call given as it was received: secrets are masked first, then long values are cut."""
    return CallRecord(
        at,
        _fitted(caller, CALLER_CHARS),
        _fitted(method, METHOD_CHARS),
        _fitted(masked_path(path), PATH_CHARS),
        _fitted(masked_query(query), QUERY_CHARS) if query else "",
        status,
        max(latency_us, 0),
        _fitted(address, ADDRESS_CHARS),
        _fitted(masked_text(correlation_id), CORRELATION_ID_CHARS),
    )


def encode_line(record: CallRecord) -> bytes:
    """Write the record as JSON with a line feed at its end and nowhere else, so short that it has room for a seal.

    Characters that take several bytes can make a line too long; then path and query are cut further, never
    the identity of the caller. Half a surrogate pair, which UTF-8 cannot carry, is written as its escape.
    """
    try:
        line = _ENCODER.encode(record)
    except UnicodeEncodeError:
        return encode_line(_without_surrogates(record))
    divisor = 1
    while len(line) >= LINE_BYTES - SEAL_BYTES:
        divisor *= 2
        line = _ENCODER.encode(_shortened(record, divisor))
    return line + b"\n"


def decode_line(line: bytes) -> CallRecord:
    """Read the record in `line`, without its line feed, sealed or not: of a call, or of how many were lost.

    Nothing else is spooled. Raises UnreadableRecordError.
    """
    try:
        record = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableRecordError(str(error)) from error
    if any("\0" in text for text in _texts(record).values()):
        raise UnreadableRecordError("a NUL character, which no database column takes")
    is_call = record.event == record.detail == ""
    if not is_call and not (record.event == _LOST and _LOST_DETAIL.fullmatch(record.detail)):
        raise UnreadableRecordError("an event that is never spooled")
    return record


def unsealed(record: CallRecord) -> CallRecord:
    """A record that says of itself that its line had no seal."""
    detail = msgspec.json.decode(record.detail) if record.detail else {}
    return msgspec.structs.replace(record, detail=json_text({**detail, "unsealed": True}))


def columns_of_call(record: CallRecord) -> Columns:
    """What the chain holds of a call that was spooled."""
    return Columns(
        record.at, record.caller, record.method, record.path, record.query, record.status, record.latency_us,
        record.address, record.correlation_id, event=record.event, detail=record.detail,
    )  # fmt: skip


def columns_of_strict_call(record: CallRecord, *, audit_class: str, detail: Mapping[str, Any]) -> Columns:
    """What the chain holds of a call that is recorded before its answer goes out."""
    return columns_of_call(_speakable(record))._replace(
        audit_class=_fitted(audit_class, CLASS_CHARS), detail=detail_text(detail)
    )


def columns_of_event(
    *, at: datetime, actor: str, audit_class: str, event: str, subject: str, detail: Mapping[str, Any],
    correlation_id: str = "",
) -> Columns:  # fmt: skip
    """What the chain holds of something that is no call. Secrets in `subject` and `detail` are masked."""
    return Columns(
        at, _spoken(actor, CALLER_CHARS), "", "", "", 0, 0, "", _spoken(correlation_id, CORRELATION_ID_CHARS),
        audit_class=_spoken(audit_class, CLASS_CHARS),
        event=_spoken(event, EVENT_CHARS),
        subject=_spoken(masked_text(subject), SUBJECT_CHARS),
        detail=detail_text(detail),
    )  # fmt: skip


def detail_text(detail: Mapping[str, Any]) -> str:
    """A masked document as JSON, "" of none.

    `change`, a pair of before and after, becomes the list of what changed.
    """
    told = {name: changes(*value) if name == "change" else value for name, value in detail.items()}
    if not told:
        return ""
    text = json_text(masked_document(told))
    return text if len(text) <= DETAIL_CHARS else json_text(size_of(text.encode()))


def body_detail(body: bytes) -> Any:
    """What is kept of a body: the masked document if it is JSON and short, else its size and SHA-256."""
    if len(body) <= BODY_BYTES:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return masked_document(msgspec.json.decode(body))
    return size_of(body)


def size_of(body: bytes) -> dict[str, Any]:
    """What tells one body from another without telling it."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def json_text(document: Any) -> str:
    """A document as JSON; what JSON has no word for is a text."""
    try:
        return msgspec.json.encode(document, enc_hook=str).decode()
    except (UnicodeEncodeError, TypeError):
        return json.dumps(document, default=str)


def lost_line(count: int, at: datetime) -> bytes:
    """The line that says how many records could not be written before it."""
    detail = json_text({"records": count})
    return encode_line(CallRecord(at, "", "", "", "", 0, 0, "", "", event=_LOST, detail=detail))


def _spoken(text: str, limit: int) -> str:
    return _fitted(text.encode("utf-8", "backslashreplace").decode(), limit)


def _speakable(record: CallRecord) -> CallRecord:
    try:
        _ENCODER.encode(record)
    except UnicodeEncodeError:
        return _without_surrogates(record)
    return record


def _fitted(text: str, limit: int) -> str:
    if "\0" in text:
        text = text.replace("\0", "\\0")
    return text if len(text) <= limit else text[: limit - 1] + TRUNCATED


def _texts(record: CallRecord) -> dict[str, str]:
    return {
        "caller": record.caller,
        "method": record.method,
        "path": record.path,
        "query": record.query,
        "address": record.address,
        "correlation_id": record.correlation_id,
        "event": record.event,
        "detail": record.detail,
    }


_LIMITS = {
    "caller": CALLER_CHARS,
    "method": METHOD_CHARS,
    "path": PATH_CHARS,
    "query": QUERY_CHARS,
    "address": ADDRESS_CHARS,
    "correlation_id": CORRELATION_ID_CHARS,
    "event": EVENT_CHARS,
    "detail": LINE_BYTES,
}


def _without_surrogates(record: CallRecord) -> CallRecord:
    texts = {
        name: _fitted(text.encode("utf-8", "backslashreplace").decode(), _LIMITS[name])
        for name, text in _texts(record).items()
    }
    return msgspec.structs.replace(record, **texts)


def _shortened(record: CallRecord, divisor: int) -> CallRecord:
    return msgspec.structs.replace(
        record,
        path=_fitted(record.path, PATH_CHARS // divisor),
        query=_fitted(record.query, QUERY_CHARS // divisor),
    )
