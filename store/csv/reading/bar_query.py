"""Which bars of a log are asked for."""

from dataclasses import dataclass

from store.bar_policies import BarPolicy
from store.bars.spans import Spans
from store.csv.derived.rollups import level_for
from store.csv.reading.pieces import Layers, Pieces
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class BarQuery:
    """Bars of whole intervals. `window` begins and ends on whole multiples of `interval_ns`."""

    window: Window
    interval_ns: int
    policy: BarPolicy

    def layers(self, window: Window) -> Layers:
        """What bars of a window of whole intervals are merged from: aggregates of one length."""
        return {level_for(self.interval_ns) or self.interval_ns: Pieces.of(window)}


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """Bars of spans; see `QueryableStore.span_bars`."""

    spans: Spans
    policy: BarPolicy
    credits: bool
