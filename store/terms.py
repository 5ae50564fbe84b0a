"""The terms of an instrument as they were declared in time: policy, class, exchange, calendar and `settle`."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from store.instruments import Instrument
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
