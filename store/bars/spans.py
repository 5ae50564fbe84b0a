"""Spans: windows of time for bars of unequal length, such as sessions, trading dates, weeks and months."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from store.arrays import Integers, Mask
from store.bars.aggregates import Aggregates, merged_by
from store.bars.bars import Bars, bars_of, credited_bars
from store.bars.credit import DatesOf, owners


@dataclass(frozen=True, slots=True)
class Spans:
    """Disjoint windows `[start_ns, end_ns)`, ascending; each belongs to the bar labelled `label_ns`.

    Equally long int64 columns, nanoseconds UTC. Windows with the same label are consecutive, and labels ascend.
    Raises ValueError for columns that break these rules.
    """

    start_ns: Integers
    end_ns: Integers
    label_ns: Integers

    def __post_init__(self) -> None:
        start, end, label = self.start_ns, self.end_ns, self.label_ns
        if not len(start) == len(end) == len(label):
            raise ValueError("the columns of spans must be equally long")
        if not (start < end).all() or not (end[:-1] <= start[1:]).all():
            raise ValueError("spans must be disjoint, ascending and not empty")
        if not (label[:-1] <= label[1:]).all():
            raise ValueError("labels of spans must ascend")

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, part: slice) -> "Spans":
        return Spans(self.start_ns[part], self.end_ns[part], self.label_ns[part])

    def joined(self, other: "Spans") -> "Spans":
        """Return the spans of both, which must not overlap."""
        if not len(other):
            return self
        columns = (
            (getattr(each, name) for each in (self, other)) for name in ("start_ns", "end_ns", "label_ns")
        )
        start_ns, end_ns, label_ns = map(np.concatenate, map(list, columns))
        order = np.argsort(start_ns)
        return Spans(start_ns[order], end_ns[order], label_ns[order])

    @property
    def interval_ns(self) -> int | None:
        """The spans' length, if all have the same, start at its multiples and are labelled by their start."""
        length = int(self.end_ns[0] - self.start_ns[0]) if len(self) else 0
        is_of_intervals = (
            length
            and (self.end_ns - self.start_ns == length).all()
            and not (self.start_ns % length).any()
            and np.array_equal(self.start_ns, self.label_ns)
        )
        return length if is_of_intervals else None

    def indices(self, time: Integers) -> Integers:
        """For each instant, return the index of the span that contains it; -1 if none does."""
        index = self.start_ns.searchsorted(time, side="right") - 1
        # Before the first span the index is -1. `end_ns[-1]` is then the last span's end, so the result is -1.
        return np.where(time < self.end_ns[index], index, -1) if len(self) else index


@dataclass(frozen=True, slots=True)
class PeriodSpans:
    """Days, weeks or months, ascending, and the windows that belong to them.

    labels: each bar's label, ascending, nanoseconds UTC. dates: each period's first date (the trading date, the
    Monday, or the first of the month) in days since 1970. ends_ns: when each period is over.
    """

    spans: Spans
    labels: Integers
    dates: Integers
    ends_ns: Integers


def span_bars_of(parts: Sequence[Aggregates], spans: Spans, dates_of: DatesOf | None) -> Bars:
    """Return one bar per label that has a price, at the label's time, of all prints in the label's spans.

    If a span's label has no price, its volume goes to the nearest bar before it of the same trading date. Without such a
    bar, or if `dates_of` is None, it is dropped.
    parts: aggregates in any order and of any interval. No interval may cross a span's edge, and no print may
    be in two parts. Aggregates outside all spans are ignored. dates_of: see `bars_of`.
    """
    joined = Aggregates.joined([part for part in parts if len(part)])
    index = spans.indices(joined.time)
    if (index < 0).any():
        joined, index = joined[index >= 0], index[index >= 0]
    of_spans = merged_by(joined, spans.start_ns[index])
    index = spans.start_ns.searchsorted(of_spans.time)
    labelled = merged_by(of_spans, spans.label_ns[index])
    has_price = labelled.price_count > 0
    if has_price.all():
        return bars_of(labelled)
    priced = labelled[has_price]
    owner = owners(spans.start_ns, _are_of(spans, priced.time), dates_of)[index]
    first_of_label = spans.label_ns.searchsorted(spans.label_ns[owner])
    return credited_bars(priced, of_spans, np.where(owner < 0, -1, first_of_label))


def _are_of(spans: Spans, labels: Integers) -> Mask:
    """Return whether each span's label is one of the ascending labels."""
    return labels.searchsorted(spans.label_ns, side="right") > labels.searchsorted(spans.label_ns)
