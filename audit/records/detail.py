"""What a record tells besides its columns: masked documents as JSON."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from audit.records.columns import DETAIL_CHARS
from audit.records.masking import masked_document

BODY_BYTES = 4096
"""Of a longer body no more is kept than its size and hash."""


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


_MISSING = object()


class Change(NamedTuple):
    """One place of a document (`a.b`) and what was and is there; only one of them where it came or went."""

    path: str
    values: dict[str, Any]


def changes(before: Any, after: Any) -> list[dict[str, Any]]:
    """The places that differ, in order: `{"path": "a.b", "before": 1, "after": 2}`. Lists are compared whole.

    What was not there before has no `before`, what is gone no `after`.
    """
    return [{"path": change.path, **change.values} for change in _changes("", before, after)]


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*map(str, before), *map(str, after)}):
            place = f"{path}.{name}" if path else name
            yield from _changes(place, before.get(name, _MISSING), after.get(name, _MISSING))
    elif before != after or type(before) is not type(after):
        yield Change(path, {
            name: value for name, value in (("before", before), ("after", after)) if value is not _MISSING
        })  # fmt: skip
