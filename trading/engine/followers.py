"""Who acts for accounts on the engine's floor, beside the accounts' own orders."""

from collections.abc import Callable
from typing import Protocol

from trading.engine.clock import EngineClock
from trading.engine.floor import AccountsDesk, FloorFollower, RecordedEvent
from trading.market.followed import FollowedMarket


class EngineFollower(FloorFollower, Protocol):
    """A follower of the engine's floor. until_ns: the engine lets time pass up to there next."""

    until_ns: int

    def refresh(self) -> None:
        """Look at the accounts again, which others have changed."""

    def recorded(self, recorded: RecordedEvent) -> None:
        """Note what was recorded for an account. The transaction may still fail: then all is forgotten."""

    def save(self) -> None:
        """Store what it remembers, in the transaction of the logs' places."""


FollowerFactory = Callable[[AccountsDesk, FollowedMarket, EngineClock], EngineFollower]
"""Makes a follower for a floor that is opened."""
