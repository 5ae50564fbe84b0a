"""Calls that are one request: what they send, and what they make of the answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketdata_client.bodies import object_in
from marketdata_client.credentials import check_visible
from marketdata_client.errors import BadAnswer
from marketdata_client.exchange import answered
from marketdata_client.history import ROOT
from marketdata_client.site import Call, Parameter, Site, segment
from marketdata_client.steps import Flow


def get_call(path: str, parameters: Mapping[str, Parameter]) -> Call:
    return Call("GET", _checked(path), parameters)


def post_call(path: str, body: Any, *, idempotency_key: str | None = None) -> Call:
    """Return a POST. body: sent as JSON; None without a body."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    if idempotency_key is not None:
        check_visible("idempotency_key", idempotency_key)
        headers["Idempotency-Key"] = idempotency_key
    return Call("POST", _checked(path), headers=headers, body=b"" if body is None else json_bytes(body))


def json_bytes(body: Any) -> bytes:
    """Return a JSON document. Raises ValueError if it has NaN or infinity."""
    return json.dumps(body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def cross_section(site: Site, name: str, symbols: Sequence[str], market: str) -> Flow[list[dict[str, Any]]]:
    """Return what `latest` or `snapshot` has of symbols."""
    call = Call("GET", f"{ROOT}/{segment(market)}/{name}", {"symbols": list(symbols)})
    found = object_in((yield from answered(site, call)).body).get(name)
    if not isinstance(found, list):
        raise BadAnswer(f"the answer has no list {name}")
    return found


def _checked(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        raise ValueError("a path begins with one slash and has no query; give parameters by name")
    return path
