"""Aliases: other symbols of an instrument, which it has always or for a time."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from store.timestamps import parse_timestamp

_ALWAYS = -(2**63), 2**63 - 1


class DatedAlias(msgspec.Struct, frozen=True, omit_defaults=True, rename={"start": "from", "end": "to"}):
    """A symbol that an instrument has for a time, `[start, end)` in ISO dates.

    start: None for no bound. end: None while the instrument has it.
    """

    symbol: str
    start: str | None = None
    end: str | None = None


# A text is a symbol that the instrument has always.
Alias = str | DatedAlias


class AliasPeriod(NamedTuple):
    """The time in which an instrument has an alias: `[start_ns, end_ns)`, from midnight to midnight UTC."""

    owner: str
    start_ns: int
    end_ns: int

    @property
    def is_current(self) -> bool:
        """Whether it has no end, so that the alias means the owner also without a date."""
        return self.end_ns == _ALWAYS[1]

    def overlaps(self, other: "AliasPeriod") -> bool:
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns


def alias_name(alias: Alias) -> str:
    """Return the symbol of an alias."""
    return alias if isinstance(alias, str) else alias.symbol


def alias_period(alias: Alias, owner: str) -> AliasPeriod:
    """Return the time in which `owner` has an alias."""
    start_ns, end_ns = _ALWAYS
    if isinstance(alias, DatedAlias):
        start_ns = start_ns if alias.start is None else parse_timestamp(alias.start)
        end_ns = end_ns if alias.end is None else parse_timestamp(alias.end)
    return AliasPeriod(owner, start_ns, end_ns)


class AliasTable:
    """The aliases of all instruments. One thread may replace while others read."""

    def __init__(self) -> None:
        self._periods: dict[str, tuple[AliasPeriod, ...]] = {}

    def periods(self, name: str) -> tuple[AliasPeriod, ...]:
        """Return the times in which instruments have an alias."""
        return self._periods.get(name, ())

    def owner(self, name: str, on_ns: int | None = None) -> str | None:
        """Return the instrument that has an alias at an instant; None for an alias without an end."""
        for period in self.periods(name):
            if period.is_current if on_ns is None else period.start_ns <= on_ns < period.end_ns:
                return period.owner
        return None

    def replace(self, owner: str, before: Iterable[Alias], aliases: Iterable[Alias]) -> None:
        """Replace an instrument's aliases. Other threads always find an alias that it has before and afterwards."""
        periods: dict[str, list[AliasPeriod]] = {}
        for alias in aliases:
            periods.setdefault(alias_name(alias), []).append(alias_period(alias, owner))
        for name in periods | dict.fromkeys(map(alias_name, before)):
            others = [each for each in self.periods(name) if each.owner != owner]
            replaced = (*others, *periods.get(name, ()))
            if replaced:
                self._periods[name] = replaced
            else:
                self._periods.pop(name, None)
