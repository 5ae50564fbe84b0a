"""Counts the stored rows of a page by the time that told when they were known."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.datasets import BARS
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import KnownLog
from store.log_views.log_view import LogView
from store.log_views.stored_bars import stored_bars_window
from store.protocol import Window
from store.rows.knowledge import KnownBy


@dataclass(frozen=True, slots=True)
class BarKnowledge:
    """Counts the rows of a grid's bars in some logs."""

    logs: tuple[LogView, ...]
    grid: BarGrid
    policy: BarPolicy
    settle_ns: int
    name: ClassVar = "knowledge"

    def of_page(self, times_ns: Integers, _start_ns: int | None, _end_ns: int | None) -> dict[str, int]:
        """Return the counts of the rows of the page's bars; see `KnowledgeTimes.counts`."""
        counts = Counter[str]()
        if not len(times_ns):
            return _complete(counts)
        first_ns, last_ns = int(times_ns[0]), int(times_ns[-1])
        window = Window(self.grid.interval(first_ns).start_ns, self.grid.interval(last_ns).end_ns)
        settle_ns = self.settle_ns
        for view in self.logs:
            if not view.is_empty:
                reach = stored_bars_window(window, self.grid) if view.dataset is BARS else window
                found = KnownLog(view, self.grid, self.policy, self.settle_ns).versions(reach)
                counts.update(found.counts(window.start_ns + settle_ns + 1, window.end_ns + settle_ns))
        return _complete(counts)


def _complete(counts: dict[str, int]) -> dict[str, int]:
    return {name.value: counts.get(name.value, 0) for name in KnownBy}
