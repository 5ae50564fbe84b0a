"""The terms of an instrument as they were declared in time: policy, class, exchange, calendar and `settle`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from store.arrays import Integers
from store.instruments import Instrument
from store.market_store import MarketStore
from store.protocol import ALL_TIME

# The facts that decide what a bar or a row of the past is made of.
_TERMS = ("bar_policy", "instrument_class", "exchange", "calendar", "settle")


@dataclass(frozen=True, slots=True)
class TermsPeriod:
    """What an instrument's terms were for bars that end, and rows that happen, in `[from_ns, until_ns)`."""

    instrument: Instrument
    from_ns: int
    until_ns: int


def terms_then(
    instrument: Instrument, declarations: Iterable[tuple[int, Instrument]]
) -> tuple[TermsPeriod, ...]:
    """Return the terms as they were declared in time, oldest first; equal neighbours are one period.

    instrument: as declared last. declarations: all, with their times, oldest first. Before the first one the last
    terms count, because most instruments are declared after their history was imported. All facts that are no terms
    are the last ones.
    """
    periods = [TermsPeriod(instrument, ALL_TIME.start_ns, ALL_TIME.end_ns)]
    for declared_ns, declared in declarations:
        terms = {name: getattr(declared, name) for name in _TERMS}
        then = msgspec.structs.replace(instrument, **terms)
        last = periods[-1]
        if then != last.instrument:
            periods[-1] = TermsPeriod(last.instrument, last.from_ns, declared_ns)
            periods.append(TermsPeriod(then, declared_ns, ALL_TIME.end_ns))
    return tuple(periods)


def declared_terms(store: MarketStore, symbol: str, as_of_ns: int | None) -> tuple[TermsPeriod, ...]:
    """Return a symbol's terms as they were declared in time, up to `as_of_ns`; None for all declarations."""
    instrument = store.instrument(symbol, as_of_ns=as_of_ns)
    return terms_then(instrument, store.declarations(symbol, as_of_ns=as_of_ns))


def terms_at(terms: tuple[TermsPeriod, ...], instant_ns: int) -> Instrument:
    """Return the instrument with its terms at an instant. terms: oldest first."""
    return next(
        (each.instrument for each in reversed(terms) if each.from_ns <= instant_ns), terms[0].instrument
    )


@dataclass(frozen=True, slots=True)
class Settle:
    """The `settle` of each instant, nanoseconds.

    values_ns: ascending in time. changes_ns: from when each value but the first counts.
    """

    values_ns: tuple[int, ...]
    changes_ns: tuple[int, ...] = ()

    @classmethod
    def of(cls, terms: tuple[TermsPeriod, ...]) -> Settle:
        """Return the `settle` of some terms, oldest first; equal neighbours are one value."""
        values, changes = [terms[0].instrument.settle_ns], []
        for period in terms[1:]:
            if period.instrument.settle_ns != values[-1]:
                values.append(period.instrument.settle_ns)
                changes.append(period.from_ns)
        return cls(tuple(values), tuple(changes))

    @property
    def key(self) -> str:
        """The text that stands for it in cache keys."""
        return ".".join(map(str, (*self.values_ns, *self.changes_ns)))

    def at(self, instant_ns: int) -> int:
        """Return the value of one instant."""
        return self.values_ns[bisect_right(self.changes_ns, instant_ns)]

    def after(self, instants: Integers) -> Integers:
        """Return each instant plus its value."""
        values, changes = np.array(self.values_ns, np.int64), np.array(self.changes_ns, np.int64)
        return instants + values[changes.searchsorted(instants, side="right")]

    def of_ends(self, length_ns: int) -> Settle:
        """Return the `settle` of intervals by their start, counted from there to `settle` after their end."""
        return Settle(
            tuple(value + length_ns for value in self.values_ns),
            tuple(change - length_ns for change in self.changes_ns),
        )

    def over_until(self, newest_ns: int) -> int:
        """Return the last instant up to which every instant plus its value is over at `newest_ns`.

        Later declarations do not move it back.
        """
        until_ns = newest_ns - self.values_ns[0]
        for change_ns, value in zip(self.changes_ns, self.values_ns[1:], strict=True):
            if until_ns < change_ns - 1:
                break
            until_ns = max(change_ns - 1, newest_ns - value)
        return until_ns
