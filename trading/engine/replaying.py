"""Stored logs without a server and without a database: the engine's own rows, in its order, for a floor in memory."""

from collections.abc import Iterable, Iterator

from store.protocol import ALL_TIME
from store.walk import LogPosition
from trading.core.rows import CorporateAction
from trading.engine.floor import Floor
from trading.engine.logs import Arrival, FollowedLog, merged


class ReplayedLogs:
    """Logs that are taken row by row. Give `place_of` to the `Market` of the marks: it then knows no later row."""

    def __init__(self, logs: Iterable[FollowedLog]) -> None:
        self._logs = {(log.dataset.name, log.symbol): log for log in logs}

    def place_of(self, dataset: str, symbol: str) -> LogPosition | None:
        """Return how far a log was taken; None if it is not among these."""
        log = self._logs.get((dataset, symbol))
        return None if log is None else log.place.position

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what the logs have left. Raises `LogRestored`, `LogUnreadable`."""
        return merged(self._logs.values())

    def move(self, arrival: Arrival) -> None:
        """Note that a row is taken."""
        self._logs[arrival.dataset, arrival.symbol].place = arrival.place


def run(floor: Floor, logs: ReplayedLogs, *, until_ns: int, after_ns: int = ALL_TIME.start_ns) -> None:
    """Let a floor take what is known until an instant, and its followers act until then.

    after_ns: rows that were known until then are passed over, but for corporate actions, which take effect later.
    """
    for arrival in logs.arrivals():
        if arrival.known_ns > until_ns:
            break
        row, is_new = arrival.row, arrival.known_ns > after_ns
        if is_new:
            floor.pass_time(arrival.known_ns)
        logs.move(arrival)
        if row is not None and (is_new or isinstance(row, CorporateAction)):
            floor.take(row)
        if is_new:
            floor.pass_time(arrival.known_ns)
    floor.followers_act(until_ns + 1)
