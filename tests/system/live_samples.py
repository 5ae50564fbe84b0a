"""The sample posted live to an engine with strategies, and what a slow machine may have changed of it."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import orjson

from store.protocol import ALL_TIME
from store.timestamps import SECOND_NS, format_timestamp
from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import connected
from tests.system.strategy_places import Place, engine_ns
from trades.sample import EQUITIES, TradingSession, sample_day

LIVE_SECONDS = 60
LIVE_SYMBOLS = ("LIVEA", "LIVEB")
# What is shown later than this is history.
_HISTORY_NS = 10 * SECOND_NS
# Bars are shown at whole seconds, and a cancel that follows takes effect soon after. A print must not be on its way then, so
# all are posted in this part of a second.
_POSTS_FROM_NS, _POSTS_TO_NS = SECOND_NS // 5, SECOND_NS // 2
# A bar is due two seconds or more after its prints.
_TIMELY_NS = 3 * SECOND_NS // 2


class Posted:
    """What is known of posting. timely_ns: prints before that instant were stored before their bars were due."""

    def __init__(self) -> None:
        self.ending = Event()
        self.timely_ns = ALL_TIME.end_ns
        self.longest_ns = 0


class Watch:
    """Looks at an engine, all the time, to know what a slow machine may have changed.

    timely_ns: what was due before that instant was not shown as history. longest_ns: between two looks. lag_ns: of the
    engine, at most.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._engine_ns = self._looked_ns = time.time_ns()
        self.timely_ns = ALL_TIME.end_ns
        self.longest_ns = self.lag_ns = 0

    def until(self, condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether the condition becomes true while it looks."""

        def is_true() -> object:
            self._look()
            return condition()

        return eventually(is_true, seconds=seconds)

    def _look(self) -> None:
        came_ns, now_ns = engine_ns(self._place), time.time_ns()
        # What the engine did since the last look was due after the time that it had then.
        lag_ns = now_ns - self._engine_ns
        if lag_ns > _HISTORY_NS:
            self.timely_ns = min(self.timely_ns, self._engine_ns)
        self.lag_ns = max(self.lag_ns, lag_ns)
        self.longest_ns = max(self.longest_ns, now_ns - self._looked_ns)
        self._engine_ns, self._looked_ns = max(self._engine_ns, came_ns), now_ns


def post_sample(port: int, key: str, session: TradingSession, posted: Posted) -> int:
    """Post an hour of the sample within a minute, each print at its time or soon after, until it is to end.

    Return when it ended.
    """
    rows = moved_rows(session)
    begin_ns = time.time_ns()
    with connected(port, key) as client:
        while rows and not posted.ending.is_set():
            now_ns = time.time_ns()
            if not _POSTS_FROM_NS <= now_ns % SECOND_NS < _POSTS_TO_NS:
                time.sleep((_POSTS_FROM_NS - now_ns) % SECOND_NS / SECOND_NS)
                continue
            due = [row for row in rows if begin_ns + row[0] <= now_ns]
            rows = rows[len(due) :]
            for symbol in LIVE_SYMBOLS:
                trades = [
                    {**row, "timestamp": format_timestamp(begin_ns + after_ns)}
                    for after_ns, row in due
                    if row["symbol"] == symbol
                ]
                if trades:
                    reply = client.ingest_patiently(orjson.dumps({"trades": trades}))
                    assert reply.status == 200, reply.body
            if due:
                stored_ns, first_ns = time.time_ns(), begin_ns + due[0][0]
                posted.longest_ns = max(posted.longest_ns, stored_ns - now_ns)
                if stored_ns - first_ns > _TIMELY_NS:
                    posted.timely_ns = min(posted.timely_ns, first_ns)
            time.sleep(0.05)
    return time.time_ns()


def moved_rows(session: TradingSession) -> list[tuple[int, dict[str, Any]]]:
    """The sample's first minutes of a regular session, each within a second, with their time from the beginning."""
    found: list[tuple[int, dict[str, Any]]] = []
    for symbol, own in zip(LIVE_SYMBOLS, EQUITIES, strict=False):
        for trade in sample_day(own, session).trades.to_pylist():
            after_ns = (trade["timestamp"] - session.opens) // 60
            if 0 < after_ns < LIVE_SECONDS * SECOND_NS:
                terms = {"price": trade["price"], "volume": trade["volume"]}
                row = {"symbol": symbol, "trade_id": f"{len(found)}"} | terms
                found.append((after_ns, row))
    return sorted(found, key=lambda each: each[0])
