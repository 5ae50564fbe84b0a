"""Instruments as texts: options of a command, and CSV with a column per field."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import TextIOBase
from typing import Any, TextIO

from store.instruments import ALIAS_SEPARATOR, Instrument, default_instrument
from store.symbols import InvalidSymbol, parse_symbol
from store.text_columns import escaped_text, unescaped_text
from trades.instruments.serializers import INSTRUMENT_FIELDS, instrument_document, merged, read_instrument
from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.nearest_name import LONGEST_SHOWN, nearest_name

_NUMBERS = frozenset({"tick_size", "settle", "strike", "multiplier"})
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NULLABLE = frozenset(name for name, value in instrument_document(Instrument("A")).items() if value is None)
# Between an alias and its dates; no symbol contains it.
_DATES = "@"
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class InstrumentDeclaration:
    """An instrument declared by a line of a file. `line` counts from 1, which is the header."""

    line: int
    instrument: Instrument


class InstrumentsRefused(ValueError):
    """Lines of a file are wrong; each error begins with its line. Correct them."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors[:ERRORS_LIMIT]


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


def write_csv(instruments: Iterable[Instrument], file: TextIO | TextIOBase) -> None:
    """Write one line per instrument, a column per field; an undeclared field is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(INSTRUMENT_FIELDS)
    for instrument in instruments:
        writer.writerow([_text(value) for value in instrument_document(instrument).values()])


def read_csv(file: TextIO, current: Callable[[str], Instrument]) -> list[InstrumentDeclaration]:
    """Return the declarations in a file, one per line. Fields without a column stay as in `current(symbol)`.

    Raises `InstrumentsRefused` if any line is wrong.
    """
    reader = csv.reader(file, strict=True)
    declared: dict[str, InstrumentDeclaration] = {}
    errors: list[str] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        errors += _wrong_names(names)
        for row in reader if not errors else ():
            if not row:
                continue
            line = reader.line_num
            instrument, messages = _read_row(names, row, current)
            if instrument is not None and instrument.symbol in declared:
                messages = [f"{instrument.symbol} is in line {declared[instrument.symbol].line} already"]
            errors += [f"line {line}: {message}" for message in messages]
            if instrument is not None:
                declared.setdefault(instrument.symbol, InstrumentDeclaration(line, instrument))
    except csv.Error as error:
        errors.append(f"line {reader.line_num}: {error}")
    if errors:
        raise InstrumentsRefused(errors)
    return list(declared.values())


def _read_row(
    names: list[str], row: list[str], current: Callable[[str], Instrument]
) -> tuple[Instrument | None, list[str]]:
    if len(row) != len(names):
        return None, [f"has {len(row)} cells instead of {len(names)}"]
    cells = dict(zip(names, row, strict=True))
    try:
        instrument = current(parse_symbol(cells.pop("symbol")))
    except InvalidSymbol as error:
        return None, [f"symbol: {error}"]
    instrument, errors = read_texts(cells, instrument)
    return instrument, [f"{error.path}: {error.message}" for error in errors]


def _wrong_names(names: list[str]) -> list[str]:
    if "symbol" not in names:
        return [f"line 1: names the columns, symbol among them; known are {', '.join(INSTRUMENT_FIELDS)}"]
    messages = [f"line 1: the column {name} is named twice" for name in set(names) if names.count(name) > 1]
    for name in names:
        if name not in INSTRUMENT_FIELDS:
            hint = nearest_name(name, INSTRUMENT_FIELDS)
            messages.append(f"line 1: {name[:LONGEST_SHOWN]!r} is not a column of instruments{hint}")
    return messages


def _json_value(name: str, text: str) -> Any:
    """Return a text as the field's JSON value. An invalid text is returned unchanged; the serializer refuses it."""
    if name in _NUMBERS:
        return float(text) if _NUMBER.fullmatch(text) else text
    if name == "aliases":
        return [_alias_value(alias.strip()) for alias in text.split(ALIAS_SEPARATOR) if alias.strip()]
    if name == "allow_nonpositive_price":
        return _FLAGS.get(text.lower(), text)
    return unescaped_text(text) if name == "name" else text


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


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ALIAS_SEPARATOR.join(map(alias_text, value))
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    return escaped_text(value)


def described(instrument: Instrument) -> str:
    """Return an instrument as one readable line: its bar policy and all declared fields."""
    shown = instrument_document(instrument)
    plain = instrument_document(Instrument(instrument.symbol))
    parts = [f"bar policy {instrument.bar_policy}"]
    parts += [
        f"{name.replace('_', ' ')} {_text(value)}"
        for name, value in shown.items()
        if name not in {"symbol", "bar_policy"} and value != plain[name]
    ]
    return f"{instrument.symbol}: {', '.join(parts)}"
