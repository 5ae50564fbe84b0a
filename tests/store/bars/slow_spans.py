"""Generated spans, and bars of them made row by row, as plainly as can be."""

import random

import numpy as np

from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf
from store.bars.prints import STANDS
from store.bars.spans import Spans, span_bars_of
from store.log import Snapshot
from tests.store.printed_days import DateOf, Row, SlowBar, role_of

Span = tuple[int, int, int]


def slow_span_bars(
    rows: list[Row], policy: BarPolicy, spans: list[Span], *, date_of: DateOf, at: int = STANDS - 1
) -> list[tuple[float, ...]]:
    """Bars of ordered rows with their system columns; spans are (start, end, label)."""
    inside = [
        [(row, role_of(row, policy, at)) for row in rows if start <= row["timestamp"] < end]
        for start, end, _ in spans
    ]
    bars: dict[int, SlowBar] = {}
    for (_, _, label), printed in zip(spans, inside, strict=True):
        bar = bars.setdefault(label, SlowBar(label, [], [], [], []))
        bar.prices += [row["price"] for row, role in printed if role.sets_open_close]
        bar.extremes += [row["price"] for row, role in printed if role.sets_high_low]
    taker, date = None, None
    for (start, _, label), printed in zip(spans, inside, strict=True):
        if bars[label].prices:
            taker, date = bars[label], date_of and date_of(start)
        elif date_of is None or date_of(start) != date:
            taker = None
        for row, role in printed:
            if role.counts_volume and taker is not None:
                taker.sizes.append(row["volume"])
                taker.amounts.append(row["price"] * row["volume"])
    return [bar.fields() for bar in bars.values() if bar.prices]


def span_bars(
    snapshot: Snapshot, spans: Spans, *, policy: BarPolicy = EVERY_PRINT, dates_of: DatesOf | None = None
) -> Bars:
    """The bars that a store makes of spans."""
    return span_bars_of(snapshot.span_aggregates(spans, policy=policy), spans, dates_of)


def columns(spans: list[Span]) -> Spans:
    return Spans(*(np.array([span[place] for span in spans], np.int64) for place in range(3)))


def cut_spans(cuts: list[int], kinds: list[str]) -> list[Span]:
    """The stretches between ascending cuts: `gap` is no span, `new` begins a label, `same` goes on."""
    spans: list[Span] = []
    for start, end, kind in zip(cuts, cuts[1:], kinds, strict=False):
        if kind != "gap":
            spans.append((start, end, spans[-1][2] if kind == "same" and spans else start))
    return spans


KINDS = ("gap", "new", "new", "new", "same")


def random_spans(rng: random.Random, instants: list[int]) -> list[Span]:
    """Spans whose edges are some of the instants, decided by a generator."""
    cuts = sorted(set(rng.sample(instants, min(len(instants), rng.randint(2, 30)))))
    return cut_spans(cuts, rng.choices(KINDS, k=len(cuts)))
