"""Bars of spans: one for all windows of a label, an exact merge of their prints."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from store.arrays import Integers, Mask
from store.bars.aggregate import aggregate_by, counted
from store.bars.aggregate_columns import Aggregates, concatenated
from store.bars.bars import Bars, bars_of, credited_bars
from store.bars.exact_sums import rounded_sums
from store.bars.merge import merged_by
from store.bars.prints import Prints
from store.bars.spans import Spans


def span_bars_of(parts: Sequence[Aggregates], spans: Spans, *, credits: bool) -> Bars:
    """One bar for each label that has a price, at the label's time; see `QueryableStore.span_bars`.

    parts: aggregates in any order and of any intervals, none of which is cut by a span's edge. No print is in
    two of them. What lies in no span is passed over. Raises `Unmergeable`.
    """
    joined = concatenated([part for part in parts if len(part)])
    place = spans.places(joined.time)
    if (place < 0).any():
        joined, place = joined[place >= 0], place[place >= 0]
    of_spans = merged_by(joined, spans.start_ns[place])
    place = spans.start_ns.searchsorted(of_spans.time)
    labelled = merged_by(of_spans, spans.label_ns[place])
    has_price = labelled.price_count > 0
    if has_price.all():
        return bars_of(labelled)
    priced = labelled[has_price]
    owner = spans.owners(_are_of(spans, priced.time), credits=credits)[place]
    owned = owner >= 0
    return credited_bars(priced, of_spans[owned], _run_starts(spans.label_ns[owner[owned]]))


def span_bars_of_prints(prints: Prints, spans: Spans, *, credits: bool) -> Bars:
    """The same of ordered prints, exact whatever the range of their sizes: each sum is rounded once."""
    place = spans.places(prints.time)
    prints, place = prints[place >= 0], place[place >= 0]
    labelled = aggregate_by(prints, spans.label_ns[place], mergeable=False)
    priced = labelled[labelled.price_count > 0]
    owner = spans.owners(_are_of(spans, priced.time), credits=credits)[place]
    owned = prints[owner >= 0]
    starts = _run_starts(spans.label_ns[owner[owner >= 0]])
    volume, notional = (rounded_sums(column, starts).total for column in counted(owned))
    count = np.add.reduceat(owned.counts_volume, starts, dtype=np.int64)
    return replace(bars_of(priced), volume=volume, notional=notional, trade_count=count)


def _are_of(spans: Spans, labels: Integers) -> Mask:
    """Whether each span's label is one of the ascending labels."""
    return labels.searchsorted(spans.label_ns, side="right") > labels.searchsorted(spans.label_ns)


def _run_starts(values: Integers) -> Integers:
    """The place of each value that is not as the one before it."""
    return np.flatnonzero(np.append(len(values) > 0, values[1:] != values[:-1]))
