"""Instruments as texts: the options of a command, and the fields of the admin."""

import re
from collections.abc import Mapping
from typing import Any

from store.instruments import ALIAS_SEPARATOR, Instrument, default_instrument
from trades.instruments.serializers import INSTRUMENT_FIELDS, instrument_document, merged, read_instrument
from web.requests.exceptions import FieldError

_NUMBERS = frozenset({"tick_size", "settle", "strike", "multiplier"})
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NULLABLE = frozenset(name for name, value in instrument_document(Instrument("A")).items() if value is None)
# Between an alias and its dates; no symbol contains it.
_DATES = "@"
_FLAGS = {"true": True, "false": False}


def read_texts(cells: Mapping[str, str], current: Instrument) -> tuple[Instrument, list[FieldError]]:
    """Return the instrument changed by the texts, and their errors. `cells`: texts by field.

    An empty text makes a field undeclared. Fields without a text stay.
    """
    defaults = default_instrument(current.symbol)
    empty = {INSTRUMENT_FIELDS[name] for name, text in cells.items() if not text and name not in _NULLABLE}
    base = merged(current, {name: "" if name == "volume_kind" else getattr(defaults, name) for name in empty})
    given = {
        name: _json_value(name, text) if text else None
        for name, text in cells.items()
        if text or name in _NULLABLE
    }
    return read_instrument(given, base=base)


def _json_value(name: str, text: str) -> Any:
    """Return a text as the field's JSON value. An invalid text is returned unchanged; the serializer refuses it."""
    if name in _NUMBERS:
        return float(text) if _NUMBER.fullmatch(text) else text
    if name == "aliases":
        return [_alias_value(alias.strip()) for alias in text.split(ALIAS_SEPARATOR) if alias.strip()]
    if name == "allow_nonpositive_price":
        return _FLAGS.get(text.lower(), text)
    return text


def _alias_value(text: str) -> str | dict[str, str | None]:
    """Return an alias of a text as its JSON value. A text without `/` after its `@` is returned unchanged."""
    symbol, _, dates = text.partition(_DATES)
    start, is_dated, end = dates.partition("/")
    return {"symbol": symbol, "from": start or None, "to": end or None} if is_dated else text


def alias_text(alias: str | Mapping[str, str | None]) -> str:
    """Return an alias of a document as a text: `FB`, or with dates `FB@2012-05-18/2022-06-09`."""
    if isinstance(alias, str):
        return alias
    return f"{alias['symbol']}{_DATES}{alias['from'] or ''}/{alias['to'] or ''}"
