"""Replaced by the next commit: the bars of the live feed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stats.market_data.query import MarketDataQuery
from stats.rendering.table import Table
from store.declarations import Dataset
from store.protocol import CommitId
from store.walk import CommitPiece


@dataclass(frozen=True)
class BarPosition:
    trades: CommitId
    bars: CommitId


@dataclass(frozen=True)
class BarStep:
    position: BarPosition
    committed_at: int
    rows: Table
    removed: tuple[int, ...]
    is_lossless: bool
    is_resync: bool


class BarFeed:
    due_ns: int | None
    position: BarPosition

    @classmethod
    def at(cls, query: MarketDataQuery, position: BarPosition, *, now_ns: int) -> "BarFeed":
        raise NotImplementedError

    def advance(self, commits: list[object], *, now_ns: int) -> Iterator[BarStep]:
        raise NotImplementedError

    def settle(self, *, now_ns: int) -> BarStep | None:
        raise NotImplementedError


def merged_steps(earlier: BarStep, later: BarStep) -> BarStep:
    raise NotImplementedError


def touched_commits(dataset: Dataset, pieces: Iterable[CommitPiece]) -> Iterator[object]:
    raise NotImplementedError


def bar_query(symbol: str, resolution: str, query: str) -> MarketDataQuery:
    raise NotImplementedError
