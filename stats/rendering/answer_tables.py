"""An answer as people read it: lists of objects as tables, other fields as lists of facts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.urls import reverse

# Rows of a table on a page; the others are in the formats of programs.
SHOWN_ROWS = 200
_DEEPEST_HEADING = 4
_CURSORS = frozenset({"next_cursor", "prev_cursor"})
_LONG = 48
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as text. url: where it leads, or ""."""

    text: str
    is_number: bool = False
    is_code: bool = False
    url: str = ""

    @property
    def is_long(self) -> bool:
        """Return whether the text may break into lines."""
        return len(self.text) > _LONG


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column's name, and whether all its values are numbers."""

    name: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """A part of an answer: either facts or a table.

    title: "" for the answer's own fields. level: of its heading. count: all rows; `rows` has at most SHOWN_ROWS.
    is_narrowed: columns without any value were left out.
    """

    title: str
    level: int
    facts: tuple[tuple[str, Cell], ...] = ()
    columns: tuple[ShownColumn, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    count: int = 0
    is_narrowed: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """Which values are links: texts that begin with `base`, and the field `by` of rows.

    detail: the name of the page to which that field leads, or "".
    """

    base: str = ""
    by: str = ""
    detail: str = ""

    def url(self, value: str) -> str:
        """Return where a text leads, or ""."""
        return value if self.base and value.startswith(self.base) else ""

    def row_url(self, name: str, value: Any) -> str:
        """Return where a cell of a row leads, or ""."""
        if self.detail and name == self.by and value is not None:
            return reverse(self.detail, args=[value])
        return self.url(value) if isinstance(value, str) else ""


def answer_sections(data: Any, links: Links) -> list[AnswerSection]:
    """Return an answer's parts in order. A page of a list begins with its table."""
    sections = list(_sections("", data, 2, links))
    is_page = isinstance(data, Mapping) and bool(data.keys() & _CURSORS)
    return sorted(sections, key=lambda section: not section.count) if is_page else sections


def _sections(title: str, data: Any, level: int, links: Links) -> Iterator[AnswerSection]:
    if _is_table(data):
        yield _table(title, data, level, links)
    elif isinstance(data, Mapping):
        yield from _of_object(title, data, level, links)
    elif data is not None:
        yield AnswerSection(title, level, facts=((title or "answer", _cell(data, links.url(str(data)))),))


def _of_object(title: str, data: Mapping[str, Any], level: int, links: Links) -> Iterator[AnswerSection]:
    if title and _is_table(members := list(data.values())) and len(members) > 1:
        yield _table(title, [{"": name, **member} for name, member in data.items()], level, links)
        return
    inner = {name: value for name, value in data.items() if _is_part(value, level)}
    facts = tuple(
        (name, _cell(value, links.url(value) if isinstance(value, str) else ""))
        for name, value in data.items()
        if name not in inner and name not in _CURSORS
    )
    if facts:
        yield AnswerSection(title, level, facts=facts)
    for name, value in inner.items():
        yield from _sections(f"{title} / {name}" if title and not facts else name, value, level + 1, links)


def _is_part(value: Any, level: int) -> bool:
    """Return whether a field is a part with its own heading."""
    return _is_table(value) or (isinstance(value, Mapping) and bool(value) and level < _DEEPEST_HEADING)


def _is_table(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(row, Mapping) for row in value)
    )


def _table(title: str, rows: Sequence[Mapping[str, Any]], level: int, links: Links) -> AnswerSection:
    shown = rows[:SHOWN_ROWS]
    given = list(dict.fromkeys(name for row in shown for name in row))
    names = [name for name in given if any(row.get(name) not in _EMPTY for row in shown)] or given
    cells = tuple(
        tuple(_cell(row.get(name), links.row_url(name, row.get(name))) for name in names) for row in shown
    )
    columns = tuple(
        ShownColumn(name, all(row[index].is_number or not row[index].text for row in cells))
        for index, name in enumerate(names)
    )
    is_narrowed = len(names) < len(given)
    level = min(level, _DEEPEST_HEADING)
    return AnswerSection(title, level, columns=columns, rows=cells, count=len(rows), is_narrowed=is_narrowed)


def _cell(value: Any, url: str = "") -> Cell:
    match value:
        case None | str():
            return Cell(value or "", url=url)
        case bool():
            return Cell(str(value).lower())
        case int() | float():
            return Cell(str(value), is_number=True)
        case list() | dict() if not value:
            return Cell("none")
        case list() | tuple() if all(isinstance(each, str) for each in value):
            return Cell(", ".join(value))
    return Cell(orjson.dumps(value, default=str).decode(), is_code=True)


_PRICES = ("open", "high", "low", "close")
_DRAWN_BARS = 2_000


def candle_bars(data: Any) -> list[dict[str, Any]]:
    """Return an answer's newest bars in the order of time, for the chart; [] if it is not bars of one symbol."""
    if not isinstance(data, Mapping) or "symbol" not in data:
        return []
    for rows in data.values():
        if _is_table(rows) and {"timestamp", *_PRICES} <= rows[0].keys() and "symbol" not in rows[0]:
            bars = [_bar(row) for row in rows if _has_prices(row)]
            return sorted(bars, key=lambda bar: str(bar["timestamp"]))[-_DRAWN_BARS:]
    return []


def _has_prices(row: Mapping[str, Any]) -> bool:
    return isinstance(row["timestamp"], str) and all(row.get(name) is not None for name in _PRICES)


def _bar(row: Mapping[str, Any]) -> dict[str, Any]:
    bar = {name: row[name] for name in ("timestamp", *_PRICES)}
    return {**bar, "volume": row.get("volume") or 0, "final": row.get("final", True)}
