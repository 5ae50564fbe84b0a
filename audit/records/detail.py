"""The `detail` of a record: masked documents as JSON, and the differences between two documents."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from audit.records.columns import DETAIL_CHARS
from ops.masking import masked_body, masked_document

BODY_BYTES = 4096
"""The maximum size of a recorded body. Only the size and the hash of a longer body are recorded."""


def detail_text(detail: Mapping[str, Any]) -> str:
    """Return the detail as masked JSON; "" if it is empty. If the JSON is too long, return its size and hash instead.

    The limit is DETAIL_CHARS. The member `change`, a pair of documents before and after, becomes the list of
    differences.
    """
    document = {name: list(changes(*value)) if name == "change" else value for name, value in detail.items()}
    if not document:
        return ""
    text = json_text(masked_document(document))
    return text if len(text) <= DETAIL_CHARS else json_text(size_of(text.encode()))


def body_detail(body: bytes, declared: frozenset[str]) -> dict[str, Any]:
    """Return the members of a body that is a JSON object of at most BODY_BYTES, masked unless they are `declared`.

    For any other body return its size and SHA-256.
    """
    if len(body) <= BODY_BYTES:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            document = msgspec.json.decode(body)
            if isinstance(document, dict):
                return masked_body(document, declared)
    return size_of(body)


def size_of(body: bytes) -> dict[str, Any]:
    """Return size and SHA-256 of a body."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def json_text(document: Any) -> str:
    """Return a document as JSON. Values that JSON cannot represent become strings."""
    try:
        return msgspec.json.encode(document, enc_hook=str).decode()
    except (UnicodeEncodeError, TypeError):
        return json.dumps(document, default=str)


_MISSING = object()


def changes(before: Any, after: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Yield the members that differ, by path: `{"path": "a.b", "before": 1, "after": 2}`.

    Lists are compared as a whole. An added member has no `before`, a removed member no `after`.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*map(str, before), *map(str, after)}):
            inner = f"{path}.{name}" if path else name
            yield from changes(before.get(name, _MISSING), after.get(name, _MISSING), inner)
    elif before != after or type(before) is not type(after):
        values = (("before", before), ("after", after))
        yield {"path": path, **{name: value for name, value in values if value is not _MISSING}}
