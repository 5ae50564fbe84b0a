"""The newest rows of a source, and none before them."""

from dataclasses import dataclass

from stats.market_data.sources.rows import Rows, Source
from stats.paging.position import Position
from stats.rendering.table import OutColumn


@dataclass(frozen=True, slots=True)
class NewestSource:
    """The last `count` rows of a source, or all that it has."""

    source: Source
    count: int

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return self.source.columns

    def after(self, position: Position | None, count: int) -> Rows:
        if position is None:
            return self.source.before(None, self.count)[:count]
        return self.source.after(position, count)

    def before(self, position: Position | None, count: int) -> Rows:
        if position is None:
            return self.source.before(None, min(count, self.count))
        newest = self.source.before(None, self.count)
        if not len(newest):
            return newest
        rows = newest[: newest.row_of(position)]
        return rows[max(len(rows) - count, 0) :]

    def total_estimate(self) -> int:
        return min(self.source.total_estimate(), self.count)
