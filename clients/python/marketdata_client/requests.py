"""Requests before they have a host and a credential, and answers that were read in whole."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode
from uuid import uuid4

from marketdata_client.credentials import check_visible

Parameter: TypeAlias = str | int | float | bool | dt.date | dt.datetime | Sequence[str] | None
IDEMPOTENCY_KEY = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Request:
    """path: below the base URL, percent-encoded."""

    method: str
    path: str
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_repeatable(self) -> bool:
        return self.method in {"GET", "PUT"} or IDEMPOTENCY_KEY in self.headers


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `headers` are found by names in any case."""

    headers: Mapping[str, str]
    body: bytes


def get_request(path: str, params: Mapping[str, Parameter]) -> Request:
    return Request("GET", _checked(path), params)


def post_request(
    path: str, body: Any, *, idempotency_key: str | None = None, params: Mapping[str, Parameter] | None = None
) -> Request:
    """Return a POST. body: sent as JSON; None without a body."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    if idempotency_key is not None:
        check_visible("idempotency_key", idempotency_key)
        headers[IDEMPOTENCY_KEY] = idempotency_key
    return Request("POST", _checked(path), params or {}, headers, b"" if body is None else json_bytes(body))


def put_request(path: str, body: Any) -> Request:
    """Return a PUT, whose body is sent as JSON."""
    return Request("PUT", _checked(path), headers={"Content-Type": "application/json"}, body=json_bytes(body))


def post_once(path: str, body: Mapping[str, Any], params: Mapping[str, Parameter] | None = None) -> Request:
    """Return a POST that is sent again without harm. Members of the body that are None are left out."""
    present = {name: value for name, value in body.items() if value is not None}
    return post_request(path, present, idempotency_key=uuid4().hex, params=params)


def json_bytes(body: Any) -> bytes:
    """Return a JSON document. Raises ValueError if it has NaN or infinity."""
    return json.dumps(body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _checked(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        raise ValueError("a path begins with one slash and has no query; give parameters by name")
    return path


def query_text(query: Mapping[str, Parameter]) -> str:
    """Return a query string. Parameters that are None are left out."""
    return urlencode(
        {name: _text(value) for name, value in query.items() if value is not None}, quote_via=quote, safe=""
    )


def _text(value: Parameter) -> str:
    match value:
        case bool():
            return str(int(value))
        case dt.datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone; use datetime.UTC")
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case str() | int() | float() | dt.date():
            return str(value)
        case None:
            return ""
        case _:
            return ",".join(value)


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be a part of a path")
    return quote(text, safe="")
