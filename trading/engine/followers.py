"""Who acts for accounts on the engine's floor, beside the accounts' own orders."""

from collections.abc import Callable, Sequence
from typing import Protocol

from needs import Need
from trading.core.rows import MarketRow
from trading.engine.clock import EngineClock
from trading.engine.floor import AccountAct, AccountsDesk
from trading.engine.marks import MarkBook
from trading.engine.memory_desk import RecordedEvent


class EngineFollower(Protocol):
    """A `FloorFollower` of the engine. until_ns: the engine lets time pass up to there next."""

    until_ns: int

    def next_ns(self) -> int | None: ...

    def due(self, now_ns: int) -> Sequence[AccountAct]: ...

    def taken(self, row: MarketRow) -> Sequence[AccountAct]: ...

    def refresh(self) -> None:
        """Look at the accounts again, which others have changed."""

    def recorded(self, recorded: RecordedEvent) -> None:
        """Note what was recorded for an account. The transaction may still fail: then all is forgotten."""

    def save(self) -> None:
        """Store what it remembers, in the transaction of the logs' places."""


FOLLOWERS: Need[Callable[[AccountsDesk, MarkBook, EngineClock], EngineFollower]] = Need(
    "trading.engine.followers.FOLLOWERS"
)
