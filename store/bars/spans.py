"""Windows of time for bars that are not all equally long: sessions, trading dates, weeks, months."""

from dataclasses import dataclass

import numpy as np

from store.arrays import Integers, Mask


@dataclass(frozen=True, slots=True)
class Spans:
    """Disjoint windows `[start_ns, end_ns)`, ascending; each belongs to the bar labelled `label_ns`.

    Equally long int64 columns, nanoseconds UTC. A label's windows are adjacent, labels ascend. Raises
    ValueError.
    """

    start_ns: Integers
    end_ns: Integers
    label_ns: Integers

    def __post_init__(self) -> None:
        start, end, label = self.start_ns, self.end_ns, self.label_ns
        if not len(start) == len(end) == len(label):
            raise ValueError("the columns of spans are equally long")
        if not (start < end).all() or not (end[:-1] <= start[1:]).all():
            raise ValueError("spans are disjoint and ascending, and none is empty")
        if not (label[:-1] <= label[1:]).all():
            raise ValueError("labels of spans ascend")

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, part: slice) -> "Spans":
        return Spans(self.start_ns[part], self.end_ns[part], self.label_ns[part])

    @property
    def interval_ns(self) -> int | None:
        """The length of equally long spans that start at its multiples and are labelled by their start, or None."""
        length = int(self.end_ns[0] - self.start_ns[0]) if len(self) else 0
        is_of_intervals = (
            length
            and (self.end_ns - self.start_ns == length).all()
            and not (self.start_ns % length).any()
            and np.array_equal(self.start_ns, self.label_ns)
        )
        return length if is_of_intervals else None

    def places(self, time: Integers) -> Integers:
        """The place of the span that each instant lies in; -1 where it lies in none."""
        place = self.start_ns.searchsorted(time, side="right") - 1
        # An instant before the first span has place -1, here the last span's end, and keeps it.
        return np.where(time < self.end_ns[place], place, -1) if len(self) else place

    def owners(self, priced: Mask, *, credits: bool) -> Integers:
        """The place of the span to whose bar the volume of each belongs; -1 where it is nobody's.

        Ascending but for -1. priced: whether each span's label has a price: those own themselves. With
        `credits` the others belong to the last span with a price before them, if all spans from that one on
        touch: each ends where the next one starts.
        """
        place = np.arange(len(self))
        owner = np.where(priced, place, -1)
        if not credits or not len(self):
            return owner
        nearest = np.maximum.accumulate(owner)
        gaps = np.append(0, np.cumsum(self.end_ns[:-1] != self.start_ns[1:]))
        return np.where((nearest >= 0) & (gaps == gaps[nearest]), nearest, -1)


@dataclass(frozen=True, slots=True)
class PeriodSpans:
    """Days, weeks or months, ascending, and the windows that belong to them.

    labels: what their bars are called, ascending, nanoseconds UTC. dates: of each label in days since 1970:
    the trading date, the Monday, or the first of the month. ends_ns: of each label, the instant from which on
    nothing of it is still to come.
    """

    spans: Spans
    labels: Integers
    dates: Integers
    ends_ns: Integers
