"""Drawn requests, given what a generator cannot know: symbols and times that exist, and what a row's fields owe each other."""

import random
from typing import Any

from tests.hostile import stock
from tests.hostile.mutants import encoded
from tests.hostile.operations import JSON, Call, Operation, refused_beside

# Of these the drawn value is left as it is only if the store has something under it, which nobody can draw.
_FOUND = frozenset({*stock.VALUES, "symbol", "symbols"})
_DRAWN = (
    "price",
    "volume",
    "bid_size",
    "ask_size",
    "sequence",
    "exchange",
    "conditions",
    "open_interest",
    "new_volume",
    "new_sequence",
)
_HAS_NO_EXCHANGE = "/crypto/"


def real_query(operation: Operation, drawn: dict[str, Any], call: Call) -> dict[str, Any]:
    """The query that a case gets: as drawn, but for what finds something or depends on another.

    `call` is a valid one.
    """
    known = dict(call.query)
    if "expiry" in known:
        return {**_kept(drawn, {"rate", "dividend_yield", "format", "time"}), **known}
    left_out = {"cursor", "expiry", *_names_in_body(operation)}
    if "last" in drawn:
        left_out |= {"start", "limit"}
    if operation.name == "audit" and drawn.get("format") == "ndjson":
        # An export is no page.
        left_out |= {"limit", "sort"}
    if _HAS_NO_EXCHANGE in operation.path:
        left_out |= {"session", "hours"}
    found = {
        **_needed(operation, known),
        # An empty value is refused for every parameter.
        **{name: value for name, value in drawn.items() if name not in left_out and value != ""},
    }
    if "last" in drawn:
        found.pop("start", None)
    real = {name: _real(name, value, known) for name, value in found.items()}
    if "fields" in real and operation.path.endswith("/members"):
        real["fields"] = "member"
    return _kept(real, set(real) - refused_beside(operation, real))


def real_body(operation: Operation, drawn: Any, media_type: str, call: Call, rng: random.Random) -> Any:
    """The document or, in another format than JSON, the bytes that a case gets."""
    document = call.document
    rows = next((value for value in document.values() if isinstance(value, list)), [])
    if operation.takes("dedupe"):
        fields = set(_DRAWN) & {str(place[-1]) for place in operation.fields}
        instant = _minute(rng) if "resolution" in rows[0] else _instant(rng)
        rows[:] = [rows[0] | _kept(_first_row(drawn), fields) | {"timestamp": instant}]
    return document if media_type == JSON else encoded(document, rows, media_type)


def _needed(operation: Operation, known: dict[str, str]) -> dict[str, str]:
    """What a query cannot do without, although the schema cannot say so."""
    needed = {each.name for each in operation.of_place("query") if each.is_required}
    if operation.takes("last") or operation.takes("trailer"):
        needed |= {"start", "end"}
    return _kept(known, needed)


def _real(name: str, value: Any, known: dict[str, str]) -> Any:
    if name in _FOUND:
        unknown = stock.SYMBOL if name == "symbol" else value
        return known.get(name) or stock.VALUES.get(name, [unknown])[0]
    return value


def _names_in_body(operation: Operation) -> set[str]:
    """What a query does not say because every row does."""
    return {"symbol", "resolution"} if operation.method == "POST" else set()


def _instant(rng: random.Random) -> str:
    return f"2025-01-02T14:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(10**9):09}Z"


def _minute(rng: random.Random) -> str:
    """Where a bar of a minute begins."""
    return f"2025-01-{1 + rng.randrange(28):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z"


def _kept(drawn: Any, names: set[str]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in drawn.items() if name in names and value is not None}


def _plain(value: Any) -> Any:
    """To a schema 1.0 is a whole number, here it is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _first_row(drawn: Any) -> dict[str, Any]:
    lists = [value for value in drawn.values() if isinstance(value, list)] if isinstance(drawn, dict) else []
    return next((row for rows in lists for row in rows if isinstance(row, dict)), {})
